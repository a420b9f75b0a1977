from completions_mw.core.resilience.cooldown import Cooldowns


def test_keys_take_turns() -> None:
    keys = Cooldowns(3)
    assert [keys.next_key(1.0) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_a_key_that_cools_down_is_passed_over() -> None:
    keys = Cooldowns(3)
    keys.cool(1, 10.0)
    assert {keys.next_key(9.9) for _ in range(9)} == {0, 2}
    assert {keys.next_key(10.0) for _ in range(9)} == {0, 1, 2}


def test_if_all_cool_down_it_is_the_turn_of_the_one_that_is_ready_first() -> None:
    keys = Cooldowns(2)
    keys.cool(0, 20.0)
    assert keys.ready_at <= 5.0
    keys.cool(1, 10.0)
    assert keys.ready_at > 5.0
    assert {keys.next_key(5.0) for _ in range(4)} == {1}


def test_a_shorter_cooldown_does_not_end_a_longer_one() -> None:
    keys = Cooldowns()
    keys.cool(0, 20.0)
    keys.cool(0, 10.0)
    assert (keys.ready_at > 15.0, keys.ready_at > 20.0) == (True, False)
