from scanner.probe.rate import Bucket


def test_what_was_read_too_much_is_waited_for_and_no_more_than_a_second_is_saved() -> None:
    now_s = 0.0
    bucket = Bucket(100.0, lambda: now_s)
    dry = []
    for now_s, read_bytes in ((0.0, 300), (1.99, 0), (2.01, 0), (1000.0, 101), (1000.0, 0)):  # noqa: B007
        dry.append(bucket.is_dry)
        bucket.take(read_bytes)
    assert dry == [False, True, False, False, True]


def test_without_a_rate_it_never_runs_dry() -> None:
    bucket = Bucket(0.0)
    bucket.take(1 << 40)
    assert not bucket.is_dry
