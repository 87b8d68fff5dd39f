"""The verdict over everything, for the top of the page and of the mails."""

from __future__ import annotations

from insightmart.certification.verdict import Verdict, spoken, spoken_windows
from insightmart.status.facts import Facts
from insightmart.status.problem import capitalised, listed
from insightmart.status.rendering import LEVELS


def headline(facts: Facts) -> str:
    """The verdict over everything, in a few words."""
    names = {verdict: [s.part.name for s in facts.parts if s.verdict is verdict] for verdict in Verdict}
    for verdict in (Verdict.HELD_BACK, Verdict.MISSING, Verdict.LATE):
        if names[verdict]:
            return f"{capitalised(listed(names[verdict]))}: {verdict}"
    if facts.reconciliation and facts.reconciliation.failed:
        return "Certified, but totals do not tie"
    if facts.asked:
        return "Certified; rows that vanished at a source wait for an answer"
    if names[Verdict.CORRECTIONS]:
        return "Certified; late corrections are pending"
    return "All certified data can be trusted"


def explanation(facts: Facts) -> str:
    """One sentence below the headline: what still holds."""
    if facts.held_back:
        since = min(state.held_since for state in facts.held_back if state.held_since)
        kept = f"Figures before {spoken(since)} are certified and stay as they are."
        if facts.corrections:
            older = spoken_windows(facts.corrections)
            kept = f"Figures before {spoken(since)} are certified; those of {older} are older than their source says."
        unaffected = ", ".join(state.part.name for state in facts.unaffected)
        return f"{kept} Not affected: {unaffected}." if unaffected else kept
    if facts.through is None:
        return "Some sources have nothing certified yet; the tables below say which."
    through = f"Everything that happened before {spoken(facts.through)} is certified"
    if facts.verdict is Verdict.LATE:
        changed = ", and what has changed at its source since," if facts.corrections else ""
        return f"{through}; what is missing{changed} is named below."
    if facts.verdict is Verdict.CORRECTIONS:
        return f"{through}; some of it has changed at its source since and is certified again by the next cycles."
    if facts.asked:
        return f"{through}; what vanished at a source stays in it until somebody says that it was deleted."
    return f"{through}, and nothing is held back or waiting."


def level(facts: Facts) -> str:
    """good, note, warning or bad."""
    if facts.reconciliation and facts.reconciliation.failed:
        return "bad"
    found = LEVELS[facts.verdict]
    return "warning" if facts.asked and found in ("good", "note") else found
