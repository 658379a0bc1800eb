"""Conversations written for this benchmark, and questions with the turn that answers each.

Some of the answers say what they are about, most of them say it only together with the turn before.
"""

from typing import Final, NamedTuple


class Dialogue(NamedTuple):
    title: str
    speakers: tuple[str, str]
    """Who speaks, one after the other."""
    turns: tuple[str, ...]
    questions: tuple[tuple[str, int], ...]
    """Each with the place of the turn that answers it."""


DIALOGUES: Final = (
    Dialogue(
        "Moving house",
        ("Nora", "Emil"),
        (
            "Have you called the landlord about the broken boiler?",
            "Yes, this morning.",
            "And when is somebody coming to repair it?",
            "Thursday, between eight and noon.",
            "Fine. What did the movers want for the piano?",
            "Three hundred and forty, stairs included.",
            "That's a lot. Who else could carry it?",
            "My cousin Bent has a van and two strong sons.",
            "Good idea. Where do we put the cat meanwhile?",
            "At your mother's, she offered.",
            "Did you cancel the old electricity contract?",
            "Not yet, the form wants the meter reading.",
        ),
        (
            ("When does the boiler get fixed?", 3),
            ("How much do the movers charge for the piano?", 5),
            ("Where does the cat stay during the move?", 9),
            ("Why has the electricity contract not been cancelled?", 11),
            ("Who could carry the piano instead of the movers?", 7),
        ),
    ),
    Dialogue(
        "Release meeting",
        ("Priya", "Tom"),
        (
            "Which ticket still blocks the release?",
            "4711, the one about time zones.",
            "Who is working on that?",
            "Lena, since Monday.",
            "How long does she think it will take?",
            "Two more days at least.",
            "Then we ship on Friday. What happened to the slow import?",
            "Fixed. It read the whole file twice.",
            "Nice. Does the documentation mention the new flag?",
            "It will, Jonas promised a paragraph.",
            "And who tells the customers?",
            "I do, as soon as the build is green.",
        ),
        (
            ("What is blocking the release?", 1),
            ("Who works on the time zone ticket?", 3),
            ("What made the import slow?", 7),
            ("Who writes the documentation of the new flag?", 9),
            ("Who informs the customers about the release?", 11),
        ),
    ),
    Dialogue(
        "Allotment",
        ("Greta", "Paul"),
        (
            "What did you plant along the fence this year?",
            "Sweet peas and a row of sunflowers.",
            "How do you keep the slugs away from the lettuce?",
            "Copper tape round the beds, and beer in saucers.",
            "Clever. Is the water barrel still leaking?",
            "No, a bit of tar did it.",
            "When do you cut back the raspberries?",
            "Right after the harvest, down to the ground.",
            "And the old apple tree, does it bear anything?",
            "Two baskets last autumn, all for cider.",
            "Who presses them for you?",
            "The widow by the church, for a third of the juice.",
        ),
        (
            ("What grows along the fence?", 1),
            ("What is done against slugs?", 3),
            ("How was the leaking barrel repaired?", 5),
            ("When are raspberries cut back?", 7),
            ("Who makes the cider from the apples?", 11),
        ),
    ),
    Dialogue(
        "At the clinic",
        ("Doctor", "Mr. Abel"),
        (
            "How long have you had the cough?",
            "Since about the middle of March.",
            "Do you take anything for it?",
            "Only honey and thyme tea.",
            "Are you allergic to any medicine?",
            "Penicillin gives me a rash.",
            "What kind of work do you do?",
            "I sand floors, forty hours a week.",
            "Do you wear a mask then?",
            "When the boss is looking.",
            "Does anybody in your family have asthma?",
            "My sister, and her boy as well.",
        ),
        (
            ("When did the patient's cough begin?", 1),
            ("Which drug is the patient allergic to?", 5),
            ("What is the patient's job?", 7),
            ("Which relatives have asthma?", 11),
            ("What does the patient take against the cough?", 3),
        ),
    ),
)
