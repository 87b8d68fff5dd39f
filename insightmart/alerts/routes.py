"""Who is told what: a file of routes, by area, owner and severity; without it, everything goes to REPORT_TO.

The file holds no secret: addresses of chat and paging are named, and stand in the environment. What is wrong with it
keeps nobody else from being told: it is left out, and said.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from insightmart.alerts.incidents import LEVELS
from insightmart.alerts.mail import readable_addresses, sender_of
from insightmart.settings import PROJECT, AlertSettings
from insightmart.status.problem import Problem

# Told only to routes that ask for their kind: the daily report has them all, and nobody is woken by them.
QUIET = frozenset({"in quarantine", "look at", "lineage", "evidence", "not mailed", "readers", "not certified yet"})
EVERYBODY = "everybody"  # the route of REPORT_TO

Words = tuple[Annotated[str, Field(min_length=1)], ...]
# An address in place of the name of its variable would be a secret in a file, and in what is said of it.
Names = tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...]


class Route(BaseModel):
    """A line of the file: which problems, and who is told. What it does not name it does not ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    areas: Words = ()
    owners: Words = ()
    kinds: Words = ()
    severity: Literal["note", "warning", "bad"] = "note"
    to: Words = ()
    apprise: Names = ()
    daily: bool = False

    def wants(self, problem: Problem) -> bool:
        """Whether a problem is told this way. One that touches no area by itself touches all of them."""
        owners = {owner.strip() for owner in problem.owner.split(",")}
        return (
            (problem.kind in self.kinds if self.kinds else problem.kind not in QUIET)
            and (
                not self.areas or not problem.areas or bool({area.lower() for area in self.areas} & set(problem.areas))
            )
            and (not self.owners or bool(set(self.owners) & owners))
            and LEVELS.index(problem.level) >= LEVELS.index(self.severity)
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    routes: list[Route]


@dataclass(frozen=True)
class Ends:
    """Where something goes: mail addresses, names of variables with addresses for apprise, names of the routes."""

    mail: tuple[str, ...] = ()
    chat: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.mail or self.chat)

    def and_also(self, others: Ends) -> Ends:
        """These and others, each once."""
        return Ends(
            tuple(dict.fromkeys([*self.mail, *others.mail])),
            tuple(dict.fromkeys([*self.chat, *others.chat])),
            tuple(dict.fromkeys([*self.routes, *others.routes])),
        )


@dataclass(frozen=True)
class Routes:
    """The routes as they can be used, and what is wrong with them.

    Attributes:
        routes: of the file, without what is wrong in them.
        everybody: REPORT_TO, without what is no address: is told what no route takes.
        flaws: what was left out and why, each with its place, in a line without a full stop.
    """

    routes: tuple[Route, ...] = ()
    everybody: tuple[str, ...] = ()
    flaws: tuple[str, ...] = field(default=())

    def of(self, problem: Problem) -> Ends:
        """Who is told of a problem; nobody of one that belongs in the daily report."""
        wanted = [route for route in self.routes if route.wants(problem) and (route.to or route.apprise)]
        if not wanted:
            return self._rest() if problem.kind not in QUIET else Ends()
        return _together(wanted)

    def named(self, names: Iterable[str]) -> Ends:
        """The routes of these names that there still are."""
        names = set(names)
        found = _together(route for route in self.routes if route.name in names)
        return found.and_also(self._rest()) if EVERYBODY in names else found

    def of_daily(self) -> Ends:
        """Who gets the daily report; it is no news for chat or paging."""
        wanted = _together(route for route in self.routes if route.daily and route.to)
        return Ends(wanted.mail, (), wanted.routes) if wanted else self._rest()

    @property
    def all_ends(self) -> Ends:
        """Everybody who is ever told anything."""
        return _together(self.routes).and_also(self._rest())

    def _rest(self) -> Ends:
        return Ends(self.everybody, (), (EVERYBODY,)) if self.everybody else Ends()


def _together(routes: Iterable[Route]) -> Ends:
    found = list(routes)
    return Ends(
        tuple(dict.fromkeys(address for route in found for address in route.to)),
        tuple(dict.fromkeys(name for route in found for name in route.apprise)),
        tuple(route.name for route in found),
    )


def read_routes(settings: AlertSettings) -> Routes:
    """The routes of the file and of REPORT_TO. Never fails: what cannot be used is a flaw."""
    everybody, wrong = readable_addresses(settings.report_to or "")
    flaws = [f"REPORT_TO: {address!r} is no mail address" for address in wrong]
    if not readable_addresses(settings.report_from)[0]:
        flaws.append(f"REPORT_FROM: {settings.report_from!r} is no mail address; {sender_of(settings)} is")
    routes: list[Route] = []
    if settings.routes_file:
        listed, found = _listed(settings.routes_file)
        flaws += found
        for route in listed:
            usable, found = _usable(route)
            routes.append(usable)
            flaws += [f"{settings.routes_file.name}: {flaw}" for flaw in found]
    return Routes(tuple(routes), tuple(everybody), tuple(flaws))


def _listed(path: Path) -> tuple[Sequence[Route], list[str]]:
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _File.model_validate(stated).routes, []
    except OSError as error:
        return [], [f"{path} cannot be read: {error.strerror}"]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        return [], [f"{path} is no YAML{f', line {mark.line + 1}' if mark else ''}"]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return [], [f"{path} is no file of routes: {place or 'all of it'}: {first['msg']}"]


def _usable(route: Route) -> tuple[Route, list[str]]:
    to, flaws = [], []
    for text in route.to:
        good, wrong = readable_addresses(text)
        to += good
        flaws += [f"route {route.name!r}: {address!r} is no mail address" for address in wrong]
    names = [name for name in route.apprise if chat_address(name)]
    flaws += [f"route {route.name!r}: the variable {name} is not set" for name in route.apprise if name not in names]
    return route.model_copy(update={"to": tuple(to), "apprise": tuple(names)}), flaws


def chat_address(name: str) -> str | None:
    """What a variable of the environment, or of ``.env``, holds: a secret, to be shown to nobody."""
    if value := os.environ.get(name):
        return value
    if os.environ.get("PYTHON_DOTENV_DISABLED", "").lower() in ("1", "true", "yes", "t", "y"):
        return None
    return dotenv_values(PROJECT / ".env").get(name)
