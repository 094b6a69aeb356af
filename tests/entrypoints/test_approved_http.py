"""Approved texts of emergencies: one tenant's, in one version, and none of another name."""

from dataclasses import replace
from typing import Any

import pytest

from notifyq.domain.model import Category, MessageClass
from notifyq.entrypoints.api.app import Parts
from tests.entrypoints.test_told_by_id import PHONE, save, told
from tests.entrypoints.test_wishes_http import client, deliveries, key_of, put, tester

__all__ = ["client", "key_of", "tester"]

WATER = Category("water", MessageClass.EMERGENCY, expires_in_s=600, approved=("acme/boil-water@1",))
OTHER_WORDS = {"default_locale": "en", "locales": {"en": {"sms": {"body": "Boil {{ order }}."}}}}


@pytest.fixture
def open_as(open_client: Any, key_of: Any) -> Any:
    """await open_as(tenant): a client of an API with an emergency's category."""

    def change(parts: Parts) -> Parts:
        routes = parts.notifications
        categories = {**routes.rules.categories, "water": WATER}
        rules = replace(routes.rules, categories=categories)
        return replace(parts, notifications=replace(routes, rules=rules))

    async def make(tenant: str) -> Any:
        found = await open_client(change=change, key=await key_of(tenant, test=True))
        await put(found, "ann", {"phones": [PHONE]})
        return found

    return make


async def tell(client: Any, post: Any, template: str) -> None:
    await deliveries(await post(client, body=told(category="water", template=template)))


async def test_a_text_is_approved_by_tenant_name_and_version(
    open_as: Any, post: Any, database: Any
) -> None:
    acme, globex = await open_as("acme"), await open_as("globex")
    assert [await save(one, name="boil-water") for one in (acme, globex)] == [1, 1]
    assert await save(acme, name="boil") == 1
    for one, template in ((acme, "boil-water"), (globex, "boil-water"), (acme, "boil")):
        await tell(one, post, template)
    assert await save(acme, OTHER_WORDS, name="boil-water") == 2
    await tell(acme, post, "boil-water")
    told_by = (
        "SELECT t.name, d.template, d.template_version, d.is_exempt FROM delivery d"
        "  JOIN tenant t ON t.cell = d.cell AND t.id = d.tenant_id ORDER BY d.id"
    )
    assert await database.rows(told_by) == [
        ("acme", "boil-water", 1, True),
        ("globex", "boil-water", 1, False),
        ("acme", "boil", 1, False),
        ("acme", "boil-water", 2, False),
    ]
