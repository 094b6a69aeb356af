"""PUT and GET of templates, and a POST that shows what one says. By tenant and mode of the key."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from notifyq.domain.content import Content, EmailContent, PushContent, SmsContent
from notifyq.domain.model import Channel
from notifyq.domain.segments import encoding, segments
from notifyq.domain.template import BadTemplate, Rendered, Template, is_name
from notifyq.domain.template_checks import check_sources, render_example, variables
from notifyq.entrypoints.api.answers import json_response
from notifyq.entrypoints.api.faults import refused
from notifyq.entrypoints.api.problems import Fault, Problem, unavailable
from notifyq.entrypoints.api.reading import Doorkeeper, Limit, read_json
from notifyq.entrypoints.api.rendering import Refusal, faults_in, held, rendered
from notifyq.entrypoints.api.templating import (
    VERSION_MAX,
    RenderBody,
    TemplateBody,
    read_render,
    read_template,
)
from notifyq.services.templates import Library, Stale, Version, save
from notifyq.store.db import Pool, Unknown
from notifyq.store.templates import Shelf
from notifyq.store.tenants import Holder

WRITE, READ = "templates:write", "templates:read"
# Bytes of a template: some fifty mails of ordinary length. Parsed and checked beside the loop.
TEMPLATE = Limit(1_048_576)


@dataclass(frozen=True, slots=True)
class TemplateRoutes:
    """The routes of templates."""

    doorkeeper: Doorkeeper
    pool: Pool
    library: Library
    refusal: Refusal  # why some account here would never send a content

    async def one(self, request: Request) -> Response:
        """Save a version, or show one."""
        return await (self._put if request.method == "PUT" else self._get)(request)

    async def render(self, request: Request) -> Response:
        """Show what a template says with some data: nothing is sent or kept."""
        holder = await self.doorkeeper.admit(request, READ)
        name = _name(request)
        body = read_render((await read_json(request)).content)
        template = (await self._find(holder, name, body.version)).template
        told = await asyncio.to_thread(self._said, template, body)
        return json_response({"name": template.name, "version": template.version} | told)

    async def _put(self, request: Request) -> Response:
        holder = await self.doorkeeper.admit(request, WRITE)
        name = request.path_params["name"]
        if not is_name(name):
            rule = "must be 1 to 100 lower-case letters, digits, dots, hyphens or underscores"
            raise refused([Fault("/name", rule)])
        body, default, sources = read_template((await read_json(request, TEMPLATE)).content)
        template = Template(name, 0, default, sources)
        wanted = await asyncio.to_thread(self._checked, template, body)
        async with self.pool.connection() as conn:
            saved = await save(
                conn, _shelf(holder), template, replaces=body.replaces, actor=holder.label
            )
        if isinstance(saved, Unknown):
            raise unavailable(f"not known to be stored: {saved.reason}; ask again")
        if isinstance(saved, Stale):
            raise Problem("version_conflict", f"the newest version is {saved.version}")
        told = {"name": name, "version": saved.version, "changed": saved.changed}
        who = {"created_at": saved.created_at, "created_by": saved.created_by}
        return json_response(told | {"variables": wanted} | who)

    async def _get(self, request: Request) -> Response:
        holder = await self.doorkeeper.admit(request, READ)
        found = await self._find(holder, _name(request), _version(request))
        template = found.template
        told = {
            "name": template.name,
            "version": template.version,
            "default_locale": template.default_locale,
            "locales": {tag: _by_name(said) for tag, said in template.sources.items()},
            "variables": await asyncio.to_thread(variables, template),
            "created_at": found.created_at,
            "created_by": found.created_by,
        }
        return json_response(told)

    async def _find(self, holder: Holder, name: str, version: int | None) -> Version:
        async with self.pool.connection() as conn:
            found = await self.library.find(conn, _shelf(holder), name, version)
        if found is None:
            raise Problem("not_found", "no such template, or version, for this key")
        return found

    def _checked(self, template: Template, body: TemplateBody) -> list[str]:
        """Return what a template wants of its data; Problem if it must not be saved."""
        if bad := check_sources(template):
            raise refused([Fault(f"/locales{one.place}", one.rule) for one in bad])
        faults: list[Fault] = []
        if body.example is not None:
            for _, channel, found in render_example(template, body.example):
                told = held(found, channel, self.refusal) if isinstance(found, Rendered) else found
                faults += faults_in(told, "/example") if isinstance(told, BadTemplate) else []
        if faults:
            raise refused(faults)
        return variables(template)

    def _said(self, template: Template, body: RenderBody) -> dict[str, Any]:
        told: dict[str, Any] = {}
        faults: list[Fault] = []
        for channel in [Channel(name) for name in body.channels or template.channels()]:
            if template.locale_of(channel, body.locale) is None:
                rule = f"names {channel}, which the template has no text for"
                faults.append(Fault("/channels", rule))
                continue
            found = rendered(template, channel, body.locale, body.data, refusal=self.refusal)
            if isinstance(found, BadTemplate):
                faults += faults_in(found, "/data")
            else:
                told[channel.value] = _shown(found.content) | {"locale": found.locale}
        if faults:
            raise refused(faults)
        return told


def _by_name(said: Mapping[Channel, Any]) -> dict[str, Any]:
    return {channel.value: fields for channel, fields in said.items()}


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if not is_name(name):
        raise Problem("not_found", "no template can have this name")
    return name


def _version(request: Request) -> int | None:
    text = request.query_params.get("version")
    if text is None:
        return None
    version = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0
    if not 1 <= version <= VERSION_MAX:
        raise refused([Fault("/version", "must be a number from 1")])
    return version


def _shelf(holder: Holder) -> Shelf:
    return Shelf(holder.cell, holder.tenant_id, holder.test)


def _shown(content: Content) -> dict[str, Any]:
    match content:
        case SmsContent(body):
            return {"body": body, "segments": segments(body), "encoding": encoding(body)}
        case EmailContent(subject, text, html):
            return {"subject": subject, "text": text} | ({"html": html} if html else {})
        case PushContent(title, body, data):
            return {"title": title, "body": body, "data": dict(data)}
