"""The shop's contracts changed as a developer does: a text is edited, one command is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_COMMAND = Path(sys.executable).with_name("jetmesh")
_READERS = {
    "payments.charge",
    "fulfilment.begin",
    "business-dashboard.Board",
    "customer-dashboard.Orders",
}


@dataclass
class Edited:
    """A copy of the shop, whose contracts one may change."""

    root: Path

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        paths = (self.root / "contracts", self.root / "pkg")
        return subprocess.run(
            [_COMMAND, "contracts", *arguments],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
            capture_output=True,
            text=True,
            check=False,
        )

    def check(self) -> tuple[int, list[dict[str, Any]]]:
        """The exit code and what was found."""
        answer = self.run("check", "--json")
        assert answer.returncode in (0, 1), answer.stderr
        return answer.returncode, json.loads(answer.stdout)["findings"]


@pytest.fixture
def shop(tmp_path: Path) -> Edited:
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("contracts", "pkg"):
        shutil.copytree(_ROOT / name, tmp_path / name, ignore=unwanted)
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    return Edited(tmp_path)


def test_the_shop_as_it_is_breaks_nobody(shop: Edited) -> None:
    assert shop.check() == (0, [])


def test_a_rename_everywhere_is_red_and_names_who_reads_the_field(shop: Edited) -> None:
    for file in ("contracts/shop_contracts/orders.py", "pkg/shop/order_validation.py"):
        shop.edit(file, "validated_at", "approved_at")
    code, found = shop.check()
    assert code == 1
    assert [(each["path"], each["verdict"], each["who"]) for each in found] == [
        ("approved_at", "red", "new reads old"),
        ("validated_at", "red", "old reads new"),
    ]
    assert "missing required field `approved_at`" in found[0]["reader_sees"]
    assert '"validated_at"' in found[0]["sample"]
    assert set(found[0]["readers"]) == _READERS
    assert "field(name=" in found[0]["remedy"]
    assert "@upcasts(1, OrderValidated)" in found[0]["remedy"]
    text = shop.run("check").stdout
    assert "RED orders.validated approved_at" in text
    assert "read by   payments.charge" in text


def test_an_upcaster_makes_the_rename_green_and_it_is_released_as_version_2(shop: Edited) -> None:
    for file in ("contracts/shop_contracts/orders.py", "pkg/shop/order_validation.py"):
        shop.edit(file, "validated_at", "approved_at")
    orders = "contracts/shop_contracts/orders.py"
    shop.edit(orders, '"orders.validated", ', '"orders.validated", version=2, ')
    assert "add @upcasts(1, OrderValidated)" in shop.run("check").stderr
    shop.edit(orders, "from jetmesh import event", "from jetmesh import event, upcasts")
    with (shop.root / orders).open("a") as module:
        module.write(
            "\n\n@upcasts(1, OrderValidated)\n"
            "def approved(old: dict[str, object]) -> dict[str, object]:\n"
            '    return {**old, "approved_at": old["validated_at"]}\n'
        )
    assert shop.check() == (0, [])
    assert "orders.validated 2" in shop.run("release").stdout
    assert shop.check() == (0, [])
    shop.edit(orders, 'old["validated_at"]', 'old["validated"]')
    code, found = shop.check()
    assert code == 1
    assert "its upcaster approved raised KeyError" in found[0]["what"]
    shop.edit(orders, 'old["validated"]', "7")
    code, found = shop.check()
    assert "its upcaster approved returned what does not fit" in found[0]["what"]


_REASON = """\
    reason: Annotated[
        str,
        Meta(description="Why there is no mail, one sentence; empty when there is one."),
    ] = ""
"""
_CHANGES: dict[str, tuple[str, Sequence[tuple[str, str]], set[tuple[str, str, str]]]] = {
    "a required field is added": (
        "orders.py",
        [("    payment_token: PaymentToken\n", "    payment_token: PaymentToken\n    shop: str\n")],
        {("red", "shop", "new reads old")},
    ),
    "a field with a default is added": (
        "orders.py",
        [
            (
                "    payment_token: PaymentToken\n",
                '    payment_token: PaymentToken\n    shop: str = ""\n',
            )
        ],
        set(),
    ),
    "a field with a default is removed": (
        "notifications.py",
        [(_REASON, "")],
        {("yellow", "reason", "old reads new")},
    ),
    "a field with a default is renamed": (
        "notifications.py",
        [("    message_id: Annotated", "    mail_id: Annotated")],
        {("yellow", "mail_id", "new reads old"), ("yellow", "message_id", "old reads new")},
    ),
    "an attribute is renamed, its name in JSON is kept": (
        "notifications.py",
        [
            ("import Meta, Struct", "import Meta, Struct, field"),
            ("    reason: Annotated", "    why: Annotated"),
            ('one."),\n    ] = ""', 'one."),\n    ] = field(name="reason", default="")'),
        ],
        set(),
    ),
    "an int becomes a float": (
        "purchases.py",
        [
            (
                'Annotated[int, Meta(description="How many',
                'Annotated[float, Meta(description="How many',
            )
        ],
        {
            ("yellow", "items[].quantity", "new reads old"),
            ("red", "items[].quantity", "old reads new"),
        },
    ),
    "a code that readers know is removed": (
        "payments.py",
        [
            ("    expired_card: the card is past its date.\n", ""),
            ('    EXPIRED_CARD = "expired_card"\n', ""),
        ],
        {("yellow", "reason", "new reads old")},
    ),
    "a required field becomes optional": (
        "orders.py",
        [("    payment_token: PaymentToken\n", "    payment_token: PaymentToken | None\n")],
        {("red", "payment_token", "old reads new")},
    ),
    "a list becomes a set": (
        "purchases.py",
        [("Annotated[tuple[Item, ...]", "Annotated[frozenset[Item]")],
        {("yellow", "items", "new reads old")},
    ),
    "a constraint is tightened": (
        "purchases.py",
        [("max_length=200", "max_length=20")],
        {("red", "purchase_id", "new reads old")},
    ),
    "all names become camel case": (
        "orders.py",
        [
            (
                "class OrderValidated(Struct, frozen=True, kw_only=True)",
                'class OrderValidated(Struct, frozen=True, kw_only=True, rename="camel")',
            )
        ],
        {("red", "paymentToken", "new reads old"), ("red", "payment_token", "old reads new")},
    ),
    "objects become arrays": (
        "purchases.py",
        [
            (
                "class Item(Struct, frozen=True, kw_only=True)",
                "class Item(Struct, frozen=True, kw_only=True, array_like=True)",
            )
        ],
        {("red", "items[]", "new reads old"), ("red", "items[]", "old reads new")},
    ),
    "a time need not have an offset": (
        "orders.py",
        [('Meta(tz=True, description="When', 'Meta(description="When')],
        {("red", "validated_at", "old reads new")},
    ),
}


@pytest.mark.parametrize("name", _CHANGES)
def test_each_change_of_the_table_has_its_verdict(shop: Edited, name: str) -> None:
    file, edits, expected = _CHANGES[name]
    shop.edit(
        "pkg/shop/payments.py", '    DeclineReason.EXPIRED_CARD: "The card has expired.",\n', ""
    )
    for old, new in edits:
        shop.edit(f"contracts/shop_contracts/{file}", old, new)
    code, found = shop.check()
    told = {(each["verdict"], each["path"], each["who"]) for each in found}
    assert expected <= told
    assert bool(expected) == bool(told)
    assert code == int(any(verdict == "red" for verdict, _, _ in told))
    assert all(each["readers"] and each["remedy"] for each in found)
    assert all(each["sample"] for each in found if each["rule"] != "key")


def test_a_default_that_changes_where_defaults_are_not_written_is_yellow(shop: Edited) -> None:
    file = "contracts/shop_contracts/notifications.py"
    shop.edit(
        file,
        "class Notice(Struct, ",
        "class Notice(Struct, omit_defaults=True, ",
    )
    assert "notifications.sent 1.2" in shop.run("release").stdout
    shop.edit(file, _REASON, _REASON.replace('= ""', '= "unknown"'))
    _, found = shop.check()
    new = [each for each in found if each["who"] == "new reads old"]
    (one,) = [each for each in new if each["event"] == "notifications.sent"]
    assert (one["verdict"], one["path"], one["release"]) == ("yellow", "reason", "1.2")
    assert (one["writer_sees"], one["reader_sees"]) == ('""', '"unknown"')


def test_a_breaking_change_is_not_released(shop: Edited) -> None:
    shop.edit("contracts/shop_contracts/purchases.py", "max_length=200", "max_length=20")
    before = sorted((shop.root / "contracts/released").rglob("*"))
    answer = shop.run("release")
    assert answer.returncode != 0
    assert "nothing was released" in answer.stderr
    assert sorted((shop.root / "contracts/released").rglob("*")) == before


@pytest.mark.parametrize("name", ["descriptor.json", "samples.json", "schema.json", "SHA256SUMS"])
def test_a_released_file_that_was_edited_is_noticed(shop: Edited, name: str) -> None:
    path = shop.root / "contracts/released/orders.validated/1" / name
    path.write_text(path.read_text().replace("a", "b", 1))
    for command in ("check", "release"):
        answer = shop.run(command)
        assert answer.returncode == 2
        assert "was changed after it was released" in answer.stderr
        assert "git checkout" in answer.stderr


def test_a_version_that_is_skipped_is_refused(shop: Edited) -> None:
    shop.edit(
        "contracts/shop_contracts/orders.py",
        '"orders.validated", ',
        '"orders.validated", oldest=3, version=3, ',
    )
    answer = shop.run("release")
    assert answer.returncode != 0
    assert "a version was skipped" in answer.stderr
    assert "version=2" in answer.stderr
    assert not (shop.root / "contracts/released/orders.validated/3").exists()


def test_a_revision_without_contracts_is_one_sentence(shop: Edited) -> None:
    for against in ("nowhere", "--output=x", str(shop.root / "pkg")):
        answer = shop.run("check", f"--against={against}")
        assert answer.returncode == 2
        assert len(answer.stderr.splitlines()) <= 3
        assert "Traceback" not in answer.stderr


def test_what_was_released_in_a_revision_must_still_be_there(shop: Edited) -> None:
    git = ("git", "-C", str(shop.root), "-c", "user.name=n", "-c", "user.email=e@example.test")
    for arguments in (["init", "-q"], ["add", "contracts"], ["commit", "-qm", "released"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    assert shop.run("check", "--against", "HEAD").returncode == 0
    shutil.rmtree(shop.root / "contracts/released/orders.validated")
    answer = shop.run("check", "--against", "HEAD")
    assert answer.returncode == 2
    assert "was released in HEAD" in answer.stderr


def test_declared_reads_narrow_who_is_named_and_must_be_fields(shop: Edited) -> None:
    shop.edit(
        "pkg/shop/payments.py",
        "@service.on(OrderValidated",
        '@service.on(OrderValidated, reads=("total", "customer")',
    )
    shop.edit("contracts/shop_contracts/orders.py", "tz=True, description=", "description=")
    _, found = shop.check()
    readers = next(each["readers"] for each in found if each["path"] == "validated_at")
    assert set(readers) == _READERS - {"payments.charge"}
    shop.edit("pkg/shop/payments.py", '"customer")', '"costumer")')
    answer = shop.run("check")
    assert answer.returncode == 2
    assert "reads 'costumer'" in answer.stderr
