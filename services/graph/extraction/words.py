"""Words that are no names, and words that stand inside of names."""

from typing import Final

_CONNECTORS: Final = """
of the de del della der den des di da do dos das du la le les el los las van von zu zur zum vom al bin ibn ben ter ten
te
"""

# What begins sentences. Of other languages only what begins few names: not `la` and `los`, for La Paz and Los Angeles.
_STOP_WORDS: Final = """
a an the this that these those he she it we you they i his her its our your their my me him them us
who whom whose which what when where why how there here then than thus hence
and or but nor so yet for if unless until while although though because since as
in on at by to from of with without within into onto over under above below between among through
during before after about against toward towards upon across along around behind beside besides beyond
despite except inside outside per via like unlike near off out up down
is are was were be been being am do does did done has have had having can could may might must shall
should will would not no yes
some any each every all both either neither many much more most few fewer several such other another
same own only also just even still already again once twice often never always sometimes usually
however therefore moreover furthermore meanwhile nevertheless nonetheless instead otherwise indeed
finally first second third last next later earlier soon now today tomorrow yesterday recently according
currently originally initially eventually subsequently additionally similarly overall generally
especially note see let please thanks one two three four five six seven eight nine ten
der die das dem ein eine einer eines einem einen und oder aber sie wir ihr ich im am zum zur vom beim mit nach bei aus
auf ist sind waren wird werden nicht auch
un une et ou mais il elle ils elles nous vous je cette ces dans sur avec pour par est sont au aux
una unos unas pero ella ellos nosotros yo este esta estos estas con por para es son
um uma mas ele ela eles com foi gli ed ma lui lei noi voi loro questo questa nel nella sono
het een maar hij zij wij jij ik deze dit met voor uit zijn
"""

# Only languages that write them with a capital: elsewhere they are no names in the first place.
_CALENDAR: Final = """
january february march april may june july august september october november december
monday tuesday wednesday thursday friday saturday sunday
januar februar marz mai juni juli oktober dezember
montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag
"""

_ABBREVIATIONS: Final = "dr mr mrs ms prof st sr jr hon rev gen col lt sgt capt no vs mt ft"

CONNECTORS: Final = frozenset(_CONNECTORS.split())
"""Lower-case words that join two capitalised ones into one name: Ministry of the Interior, Ludwig van Beethoven.
Not `and`, `in` and their like, which join two names more often than they are part of one."""

STOP_WORDS: Final = frozenset(_STOP_WORDS.split())
"""Folded words that are dropped from the beginning of a run of capitalised words, and are no name alone."""

CALENDAR: Final = frozenset(_CALENDAR.split())
"""Folded names of months and of days of the week."""

ABBREVIATIONS: Final = frozenset(_ABBREVIATIONS.split())
"""Folded words whose full stop does not end a sentence."""
