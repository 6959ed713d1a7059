"""The account of the ordered handler: who waits, who does not, and then who goes on."""

from __future__ import annotations

from pathlib import Path

from jetmesh.operate.deadletters.desk import Desk
from jetmesh.settings import NatsSettings
from jetmesh.transport.control import ControlPlane
from tests.cluster.chaos.moves import Moves
from tests.cluster.chaos.reader import Lines, Reader
from tests.cluster.chaos.tracking import effects, mended
from tests.cluster.chaos.tracks import Tracks


class Parcels:
    """Reads what became of the moves, and has parked parcels go on once nothing else moves."""

    def __init__(self, reader: Reader, folder: Path, moves: Moves, url: str) -> None:
        self.tracks = Tracks(moves.bad)
        self._reader = reader
        self._lines = Lines(effects(folder))
        self._folder = folder
        self._moves = moves
        self._url = url
        self._finished: set[str] = set()
        self._released: set[str] = set()

    async def problems(self) -> list[str]:
        """What is not as it should be yet; damaged parcels are released once all the rest is.

        Raises:
            JetmeshError, nats.errors.Error, TimeoutError: the cluster does not answer.
        """
        await self._read()
        asked = self._moves.acknowledged
        here = asked.keys() - self._finished
        problems = [p for each in sorted(here) if (p := self.tracks.waiting(each, asked[each]))]
        parked = (self._moves.bad.keys() & here) - self._released
        if problems or not parked:
            self._finished.update(() if problems else here)
            return problems
        await self._release(sorted(parked))
        return [f"{len(parked)} damaged parcels were released at this moment"]

    def forget(self) -> None:
        """What does not rest by now was told: the next fault is not to blame for it."""
        self._finished.update(self._moves.acknowledged)

    async def read_again(self, reader: Reader) -> list[str]:
        """What is stored is judged once more; what was written down may be judged only once."""
        tracks = Tracks(self._moves.bad)
        for parcel, how in self.tracks.released.items():
            tracks.release(parcel, how)
        await _read(tracks, reader)
        asked = self._moves.acknowledged
        waiting = [p for each in asked if (p := tracks.waiting(each, asked[each]))]
        return [*waiting, *tracks.violations]

    async def _read(self) -> None:
        written = list(self._lines.new())  # first, so that all that it names is stored
        await _read(self.tracks, self._reader, written)

    async def _release(self, parked: list[str]) -> None:
        """Replay the letters of every other one, mended; drop the others'.

        Asked again, should it end midway, it does nothing twice: the notes have message ids.
        """
        nats = NatsSettings(url=self._url)
        async with await ControlPlane.connect(nats, name="chaos desk") as control:
            desk = Desk(control, by="chaos", why="the fault is over")
            for parcel in parked:
                letter = await desk.open(self.tracks.track(parcel).letters[0], again=True)
                if int(parcel.rpartition("-")[2]) % 2:
                    self.tracks.release(parcel, "dropped")
                    await desk.drop(letter)
                else:
                    mended(self._folder, parcel).touch()
                    self.tracks.release(parcel, "replayed")
                    await desk.send(await desk.prepare(letter))
                self._released.add(parcel)


async def _read(tracks: Tracks, reader: Reader, written: list[str] | None = None) -> None:
    tracks.make(await reader.new("MOVES", whole=True))
    tracks.write(written or [])
    tracks.follow(await reader.new("TRACKS", whole=True))
    tracks.bury(await reader.new("DEADLETTERS"))
