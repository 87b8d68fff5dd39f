"""What a month costs at the design volume or a multiple of it, line by line, with honest ends.

A model, not a bill: floats, one figure for each hour of the month, nothing about how busy an hour of the day is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from insightmart.account.account_parameters import AccountParameters
from insightmart.costs.hourly_work import SECONDS, hour_of_work
from insightmart.costs.measurements import End, Measurement, figures
from insightmart.costs.price_table import CREDIT, STORAGE, PriceTable

COMPUTE, STORED, AWS = "Snowflake, credits", "Snowflake, storage", "AWS"
TWICE = "build_times"
DAYS = 730 / 24  # of a month


@dataclass(frozen=True)
class CostLine:
    """A line of the bill; ``price`` is the name of its price, ``each`` that price in dollars."""

    part: str
    what: str
    quantity: float
    price: str
    each: float

    @property
    def usd(self) -> float:
        """Dollars a month."""
        return self.quantity * self.each


@dataclass(frozen=True)
class CostEstimate:
    """A month: its likely lines, and the same with every assumption at its cheap and at its dear end.

    ``cycle`` has the seconds of an hour's cycle at each end. Where they are more than an hour has, the lines of that
    end pay for whole hours, and the work is not done.
    """

    times: float
    likely: list[CostLine]
    low: list[CostLine]
    high: list[CostLine]
    cycle: Mapping[End, float]

    def total(self, lines: list[CostLine], part: str = "") -> float:
        """Dollars a month of some lines, of one part or of all."""
        return sum(line.usd for line in lines if not part or line.part == part)


@dataclass(frozen=True)
class Sensitivity:
    """What the month would cost if one figure alone were at an end of its range."""

    name: str
    low: float
    high: float

    @property
    def swing(self) -> float:
        """Dollars between the ends."""
        return abs(self.high - self.low)


def estimate(
    measured: Mapping[str, Measurement], prices: PriceTable, account: AccountParameters, times: float = 1
) -> CostEstimate:
    """A month at ``times`` the design volume."""
    ends: tuple[End, End, End] = ("value", "low", "high")
    likely, low, high = (month(figures(measured, end), prices, account, times, end == "high") for end in ends)
    cycle = {end: hour_of_work(figures(measured, end), account, prices.credits_an_hour, times).cycle for end in ends}
    return CostEstimate(times, likely, low, high, cycle)


def sensitivities(
    measured: Mapping[str, Measurement], prices: PriceTable, account: AccountParameters, times: float = 1
) -> list[Sensitivity]:
    """Which assumptions carry the most, the heaviest first; among them what if models and gates took twice as long."""
    likely = figures(measured)

    def total(**instead: float) -> float:
        return sum(line.usd for line in month({**likely, **instead}, prices, account, times))

    found = [
        Sensitivity(name, total(**{name: one.at("low")}), total(**{name: one.at("high")}))
        for name, one in measured.items()
        if one.kind == "assumed"
    ]
    found.append(Sensitivity(TWICE, total(), total(**{TWICE: 2})))
    return sorted(found, key=lambda one: -one.swing)


def month(
    f: Mapping[str, float], prices: PriceTable, account: AccountParameters, times: float = 1, is_high: bool = False
) -> list[CostLine]:
    """The lines of a month, out of figures of measured.yml at whatever end."""
    quantities = [
        *_credits(f, prices, account, times),
        *_stored(f, account, times),
        *_aws(f, prices, account, times),
    ]
    each = {CREDIT: account.budget.usd_a_credit}  # of the contract; the table's is what anybody pays
    return [
        CostLine(part, what, quantity, price, each.get(price, prices.usd(price, is_high=is_high)))
        for part, what, quantity, price in quantities
    ]


_Quantity = tuple[str, str, float, str]


def _credits(
    f: Mapping[str, float], prices: PriceTable, account: AccountParameters, times: float
) -> Iterator[_Quantity]:
    """Credits: hours that each warehouse is awake, times what an hour of its size takes."""
    work = hour_of_work(f, account, prices.credits_an_hour, times)
    an_hour = {name: prices.credits_an_hour.sizes[one.size] for name, one in account.warehouses.items()}
    hourly = {name: f["hours_a_month"] / SECONDS * seconds * an_hour[name] for name, seconds in work.awake.items()}
    credits = {
        "LOAD, hourly loads": hourly["LOAD"],
        "TRANSFORM, models of each hour": hourly["TRANSFORM"],
        "TRANSFORM, work of the day": f["daily_seconds"] * times * DAYS / SECONDS * an_hour["TRANSFORM"],
        "TRANSFORM, candidates and backfills": f["changes_hours"] * an_hour["TRANSFORM"],
        "GATE, scans of each hour": hourly["GATE"],
        "REPORT, readers": f["readers_hours_a_day"] * DAYS * an_hour["REPORT"],
    }
    credits["automatic clustering"] = f["clustering_share"] * hourly["TRANSFORM"]
    credits["cloud services beyond the free tenth"] = f["services_share"] * sum(credits.values())
    for what, quantity in credits.items():
        yield COMPUTE, what, quantity, CREDIT


def _stored(f: Mapping[str, float], account: AccountParameters, times: float) -> Iterator[_Quantity]:
    """Terabytes: raw and facts for as long as they are kept, once it has run for so long; aggregates longer."""
    day = f["raw_gb_a_day"] * times * f["stored_share"] / 1000
    aggregates = f["stores"] * f["products"] * f["aggregate_days"] + f["customers"] * 3  # stock by day; three layers
    keeps = {name: account.schemas[name].keeps_days + f["failsafe_days"] for name in ("RAW", "sqlmesh__CERTIFIED")}
    terabytes = {
        "raw, two years": day * f["raw_days"],
        "staging and core, transient": day * f["raw_days"] * f["rebuilt_copies"],
        "certified facts": day * f["raw_days"] * f["certified_copies"],
        "aggregates, customers, five years": aggregates * times * f["row_bytes"] / 1e12,
        "evidence, seven years": f["evidence_mb_an_hour"] * f["hours_a_month"] * 12 * 7 / 1e6,
        # each day the oldest day of raw is deleted, and a day's worth of certified is replaced so many times
        "Time Travel and Fail-safe": day * (keeps["RAW"] + f["rewritten"] * keeps["sqlmesh__CERTIFIED"]),
    }
    for what, quantity in terabytes.items():
        yield STORED, what, quantity, STORAGE


def _aws(f: Mapping[str, float], prices: PriceTable, account: AccountParameters, times: float) -> Iterator[_Quantity]:
    """What deploy/aws/cycle.yaml makes, and the way out that its network has to have."""
    work = hour_of_work(f, account, prices.credits_an_hour, times)
    cycles = f["hours_a_month"]
    hours = cycles * min(f["start_seconds"] + work.cycle, f["cycle_limit_seconds"]) / SECONDS
    files = f["files_mb"] * 24 * times / 1000  # GB a day
    objects = f["stores"] * cycles
    packed = f["raw_gb_a_day"] * DAYS * times * f["stored_share"]
    shop = f["shop_mb"] * cycles * times / 1000
    through_nat = packed + shop + cycles * (f["image_gb"] + f["other_gb_an_hour"])
    lines = {
        "Fargate, processors": (hours * f["task_vcpu"], "fargate_vcpu"),
        "Fargate, memory": (hours * f["task_gb"], "fargate_memory"),
        "Fargate, disk": (hours * (f["task_disk_gb"] - 20), "fargate_disk"),
        "RDS, state of SQLMesh": (cycles, "rds_small_two_zones"),
        "RDS, disk": (f["state_gb"], "rds_disk_two_zones"),
        "NAT, gateways": (cycles * f["zones"], "nat_hour"),
        "NAT, traffic": (through_nat, "nat_traffic"),
        "traffic out of AWS": (cycles * f["other_gb_an_hour"], "traffic_out"),
        "S3, files of the last month": (files * f["files_standard_days"], "s3_standard"),
        "S3, older files": (files * (f["files_days"] - f["files_standard_days"]), "s3_infrequent"),
        "S3, writes": ((objects + cycles * f["page_puts"]) / 1000, "s3_put"),
        "S3, reads": (objects / 1000, "s3_get"),
        "S3, files moved": (objects / 1000, "s3_transition"),
        "Secrets Manager": (f["secrets"], "secret"),
        "Secrets Manager, calls": (f["secrets"] * cycles / 10_000, "secret_calls"),
        "KMS": (1, "key"),
        "ECR": (f["kept_images"] * f["image_gb"], "images"),
        "CloudWatch, logs": (cycles * f["log_mb"] / 1000, "log_in"),
        "CloudWatch, logs kept": (cycles * f["log_mb"] / 1000 * 400 / DAYS, "log_kept"),
        "CloudWatch, metrics of containers": (f["insight_metrics"], "metric"),
        "CloudWatch, alarms": (f["alarm_metrics"], "alarm"),
        "Step Functions": (cycles * f["steps"] / 1000, "step"),
        "EventBridge Scheduler": (cycles / 1_000_000, "schedule"),
        "SES": (f["mails"] / 1000, "mail"),
    }
    for what, (quantity, price) in lines.items():
        yield AWS, what, quantity, price
