"""How an endpoint's refusals set the pace at which it is asked."""

import asyncio

from services.providers.embedding.pace import Pace


async def test_refusals_halve_what_is_allowed_and_answers_raise_it_step_by_step() -> None:
    pace = Pace("model", concurrency=8, batch=64)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    pace.refused(begun, None)
    assert pace.at_once == 4
    # Of those that were under way together only the first counts.
    pace.refused(begun - 1, None)
    assert pace.at_once == 4
    for _ in range(4):
        pace.served()
    assert pace.at_once == 4
    pace.served()
    assert pace.at_once == 5
    for _ in range(100):
        pace.served()
    assert pace.at_once == 8
    for _ in range(5):
        pace.refused(loop.time(), None)
    assert pace.at_once == 1


async def test_turns_are_given_up_to_what_is_allowed() -> None:
    pace = Pace("model", concurrency=2, batch=64)
    inside = 0
    most = 0

    async def work() -> None:
        nonlocal inside, most
        async with pace.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert (inside, most) == (0, 2)


async def test_a_size_that_was_too_large_is_remembered() -> None:
    pace = Pace("model", concurrency=2, batch=64)
    pace.too_large(64)
    assert pace.batch == 32
    pace.too_large(5)
    assert pace.batch == 2
    pace.too_large(64)
    assert pace.batch == 2
