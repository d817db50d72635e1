"""Leases: one holder at a time, the dead taken over at once, the fenced-off powerless."""

import subprocess
import sys
import threading
from dataclasses import dataclass

import msgspec
import pytest
from sqlalchemy import text

from scanner.catalog import leases, libraries
from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant, Holder
from scanner.errors import LeaseLost
from scanner.owner import Owner


@dataclass(frozen=True)
class Place:
    """A library's lease."""

    database: Database
    library: int

    def acquire(self, owner: Owner, ttl_s: float = 60) -> Grant | Holder:
        return leases.acquire_library(self.database, self.library, owner, ttl_s)

    def renew(self, grant: Grant) -> None:
        with self.database.write() as connection:
            leases.renew(connection, grant)

    def run_out(self) -> None:
        with self.database.write() as connection:
            connection.execute(text("UPDATE libraries SET lease_expires_at = lease_expires_at - 1000"))


@pytest.fixture
def place(database: Database) -> Place:
    return Place(database, libraries.add_library(database, "/srv/films").id)


@pytest.fixture
def me() -> Owner:
    return Owner.current()


def dead_owner() -> Owner:
    """Return an owner that was a process of this machine and has ended."""
    program = "from scanner.owner import Owner; print(Owner.current())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return Owner.parse(done.stdout)


def test_a_dead_owner_is_taken_over_at_once(place: Place, me: Owner) -> None:
    assert isinstance(place.acquire(dead_owner()), Grant)
    assert isinstance(place.acquire(me), Grant)


def test_a_process_id_that_was_given_again_is_not_its_former_owner(place: Place, me: Owner) -> None:
    before = msgspec.structs.replace(me, started=me.started - 1)
    assert isinstance(place.acquire(before), Grant)
    assert isinstance(place.acquire(me), Grant)


def test_a_living_owner_is_refused_to_others_and_named(place: Place, me: Owner) -> None:
    assert isinstance(place.acquire(me), Grant)
    answer = place.acquire(me)
    assert isinstance(answer, Holder)
    assert answer.described == f"host {me.host}, process {me.pid}"
    assert answer.expires_at > answer.since


@pytest.mark.parametrize("elsewhere", [{"boot": "another boot"}, {"pid_namespace": "pid:[1]"}], ids=str)
def test_an_owner_whose_death_cannot_be_proved_is_waited_for(
    place: Place, me: Owner, elsewhere: dict[str, str]
) -> None:
    stranger = msgspec.structs.replace(dead_owner(), **elsewhere)
    place.acquire(stranger)
    assert isinstance(place.acquire(me), Holder)
    place.run_out()
    assert isinstance(place.acquire(me), Grant)


def test_an_owner_that_cannot_be_read_is_waited_for(place: Place, me: Owner) -> None:
    place.acquire(me)
    with place.database.write() as connection:
        connection.execute(text("UPDATE libraries SET lease_owner = 'of another version'"))
    answer = place.acquire(me)
    assert isinstance(answer, Holder)
    assert answer.described == "of another version"


def test_who_was_taken_over_can_neither_renew_nor_release(place: Place, me: Owner) -> None:
    old = place.acquire(me)
    assert isinstance(old, Grant)
    place.run_out()
    new = place.acquire(me)
    assert isinstance(new, Grant)
    assert new.epoch > old.epoch
    with pytest.raises(LeaseLost):
        place.renew(old)
    leases.release(place.database, old)
    assert isinstance(place.acquire(me), Holder)
    place.renew(new)


def test_a_lost_lease_undoes_the_whole_transaction(place: Place, me: Owner) -> None:
    grant = place.acquire(me)
    assert isinstance(grant, Grant)
    with place.database.write() as connection:
        connection.execute(text("UPDATE libraries SET lease_epoch = lease_epoch + 1"))
    with pytest.raises(LeaseLost), place.database.write() as connection:
        connection.execute(text("UPDATE libraries SET file_count = 99"))
        leases.renew(connection, grant)
    assert libraries.file_count(place.database, place.library) == 0


def test_renewing_prolongs_by_the_databases_clock(place: Place, me: Owner) -> None:
    grant = place.acquire(me, ttl_s=5)
    assert isinstance(grant, Grant)
    place.run_out()
    place.renew(grant)  # nobody came: it is still ours
    assert isinstance(place.acquire(me), Holder)


def test_a_released_lease_is_free(place: Place, me: Owner) -> None:
    grant = place.acquire(me)
    assert isinstance(grant, Grant)
    leases.release(place.database, grant)
    assert isinstance(place.acquire(me), Grant)


def test_of_many_who_ask_at_once_one_gets_it(place: Place, me: Owner) -> None:
    answers: list[Grant | Holder] = []
    together = threading.Barrier(4)

    def ask() -> None:
        together.wait(10)
        answers.append(place.acquire(me))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(answer).__name__ for answer in answers) == ["Grant", "Holder", "Holder", "Holder"]


def test_the_lease_of_a_library_that_was_removed_is_lost(place: Place, me: Owner) -> None:
    (library,) = libraries.all_libraries(place.database)
    libraries.remove_library(place.database, library)
    with pytest.raises(LeaseLost):
        place.acquire(me)


def test_roles_are_leases_too(database: Database, me: Owner) -> None:
    assert isinstance(leases.acquire_role(database, "relay", dead_owner(), 60), Grant)
    assert isinstance(leases.acquire_role(database, "relay", me, 60), Grant)
    assert isinstance(leases.acquire_role(database, "relay", me, 60), Holder)
    assert isinstance(leases.acquire_role(database, "another", me, 60), Grant)
