import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import org.neo4j.cli.ExecutionContext;
import org.neo4j.commandline.admin.security.SetInitialPasswordCommand;
import org.neo4j.dbms.api.DatabaseManagementService;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;
import picocli.CommandLine;

/**
 * Runs a Neo4j server until it is told to end (SIGTERM): the program that the jars of Maven lack.
 *
 * <p>Arguments: the server's home, with conf/neo4j.conf in it; a file that holds the password of the login neo4j, which
 * is set before the server is opened for the first time, so that the password everybody knows is never accepted.
 */
public final class Start {
    private Start() {}

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        Path conf = home.resolve("conf");
        if (!Files.exists(home.resolve("data").resolve("databases").resolve("system"))) {
            String password = Files.readString(Path.of(arguments[1])).strip();
            ExecutionContext context = new ExecutionContext(home, conf);
            int code = new CommandLine(new SetInitialPasswordCommand(context)).execute("--", password);
            if (code != 0) {
                System.exit(code);
            }
        }
        DatabaseManagementService server =
                new DatabaseManagementServiceBuilder(home)
                        .loadPropertiesFromFile(conf.resolve("neo4j.conf"))
                        .build();
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown, "shutdown"));
        new CountDownLatch(1).await();
    }
}
