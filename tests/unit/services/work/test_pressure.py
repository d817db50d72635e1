"""Fewer files at once under pressure, more again when it is over, always between one and the bound."""

from pathlib import Path

from scanner.services.work.pressure import Pace, Pressure

CALM = Pressure()
SHORT_OF_MEMORY = Pressure(memory=30.0)
BUSY_DISK = Pressure(io=90.0)


def judged(pace: Pace, *pressures: Pressure) -> list[int]:
    return [pace.judge(pressure) for pressure in pressures]


def test_memory_pressure_lowers_the_limit_to_one_and_calm_raises_it_step_by_step() -> None:
    pace = Pace(8)
    assert judged(pace, *[SHORT_OF_MEMORY] * 5) == [5, 3, 2, 1, 1]
    assert judged(pace, *[CALM] * 4) == [1, 1, 2, 3]
    assert judged(pace, *[CALM] * 20)[-1] == 8


def test_a_busy_disk_alone_is_our_own_doing() -> None:
    assert judged(Pace(4), *[BUSY_DISK] * 5) == [4] * 5


def test_a_busy_disk_on_which_files_open_slower_than_before_lowers_the_limit() -> None:
    pace = Pace(4)
    for _ in range(200):
        pace.opened(0.001)
    for _ in range(200):
        pace.opened(0.4)
    assert judged(pace, BUSY_DISK) == [2]
    assert judged(Pace(4), CALM) == [4]


def test_a_share_that_is_always_slow_is_not_under_pressure() -> None:
    pace = Pace(4)
    for _ in range(200):
        pace.opened(0.2)
    assert judged(pace, BUSY_DISK) == [4]


def test_files_that_take_seconds_to_open_lower_the_limit_whatever_the_kernel_says() -> None:
    pace = Pace(4)
    for _ in range(200):
        pace.opened(5.0)
    assert judged(pace, CALM) == [2]


def test_the_kernel_s_figures_are_read_and_their_absence_is_no_pressure(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("some avg10=12.50 avg60=1.00 avg300=0.10 total=99\nfull avg10=3.00\n")
    assert Pressure.read(tmp_path) == Pressure(memory=12.5, io=0.0)
    assert Pressure.read(tmp_path / "nowhere") == CALM
