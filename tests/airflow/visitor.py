"""A person in front of a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from paths import PROJECT
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect
from server import Server
from waiting import PATIENCE

IMAGES = PROJECT / "docs" / "images"
WAIT_MS = 15_000 * PATIENCE
expect.set_options(timeout=WAIT_MS)

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium(installed: str) -> str | None:
    """The path of a browser: the machine's, or the one that Playwright has installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or (installed if Path(installed).exists() else None)


@dataclass(frozen=True)
class Look:
    """How wide the window is, in pixels, and whether its user likes dark pages."""

    width: int
    scheme: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"


LOOKS = [Look(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


class Visitor:
    """A person who has Airflow open, and whose clicks are counted.

    Args:
        look: of the window.
    """

    def __init__(self, browser: Browser, server: Server, look: Look = LOOKS[0]):
        context = browser.new_context(
            base_url=server.url,
            viewport={"width": look.width, "height": 1000},
            color_scheme=look.scheme,  # type: ignore[arg-type]
        )
        context.set_default_timeout(WAIT_MS)
        self.server, self.clicks = server, 0
        self.faults: list[str] = []
        self.page = self._watched(context.new_page())
        # Airflow's own pages do not ask the browser which mode its user likes.
        self.page.add_init_script(f"if (window.top === window) localStorage.setItem('theme', '{look.scheme}')")

    def _watched(self, page: Page) -> Page:
        """A page whose errors are written down: what a policy has refused, and what scripts have thrown."""
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        return page

    def open(self, address: str) -> None:
        self.page.goto(address)

    def click(self, target: Locator) -> None:
        self.clicks += 1
        target.click()

    def results(self, of: str) -> FrameLocator:
        """Click on the tab Results; what is in its frame.

        Args:
            of: whose tab, `dag` or `dag-run`: while Airflow goes from one page to the next, both may be there.
        """
        self.click(self.page.locator(f"a[href$='/plugin/turnout-{of}']", has_text="Results"))
        return self.page.frame_locator("iframe")

    def picture(self, name: str) -> None:
        """Keep what is to be seen for the documentation: UPDATE_SCREENSHOTS=1, refused under CI."""
        if os.environ.get("UPDATE_SCREENSHOTS") and not os.environ.get("CI"):
            self.page.wait_for_timeout(1000)  # what moves has come to rest
            self.page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")

    def close(self) -> None:
        self.page.context.close()


class Form:
    """The trigger form of a DAG."""

    def __init__(self, visitor: Visitor):
        self.visitor, self.dialog = visitor, visitor.page.get_by_role("dialog")
        self.dialog.get_by_role("heading", name="Trigger Dag").wait_for()

    def section(self, name: str) -> Locator:
        return self.dialog.get_by_role("button", name=name, exact=True)

    def fill(self, section: str, **values: str) -> None:
        """Type values into fields of a section, which is opened."""
        if self.section(section).get_attribute("aria-expanded") != "true":
            self.section(section).click()
        for name, value in values.items():
            field = self.dialog.locator(f"[name=element_{name}]")
            field.fill(value)
            field.press("Tab")

    def trigger(self) -> None:
        self.visitor.clicks += 1
        # By the keyboard: a message at the window's edge may lie over the button for some seconds.
        self.dialog.get_by_role("button", name="Trigger", exact=True).press("Enter")


def faults_of(page: Page, name: str) -> Iterator[str]:
    """What is wrong with how a page looks, in each look: it is wider than the window, or not accessible to all."""
    for look in LOOKS:
        page.set_viewport_size({"width": look.width, "height": 1000})
        page.emulate_media(color_scheme=look.scheme)  # type: ignore[arg-type]
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > look.width:
            yield f"{name} {look}: {width} pixels wide"
        for fault in Axe().run(page).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                where = ", ".join(node["html"][:120] for node in fault["nodes"][:3])
                yield f"{name} {look}: {fault['impact']} {fault['id']}: {fault['help']}: {where}"
