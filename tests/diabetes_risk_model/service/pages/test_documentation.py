"""The contract's pages in a browser without internet."""

import pytest
from playwright.sync_api import expect

from diabetes_risk_model.service.process import ServiceProcess

OURS = "diabetes_risk_model.service.main:app"
OPERATIONS = {"/docs": "#contract .opblock-summary-path", "/redoc": "#contract .api-content > [id*='operation/']"}


@pytest.mark.parametrize("path", OPERATIONS)
def test_a_page_shows_every_operation_with_no_internet(visit, limited, http, path):
    contract = http.exchange(limited, http.request("/openapi.json", method="GET")).json
    expected = sum(len(operations) for operations in contract["paths"].values())
    seen = visit(limited, path)
    expect(seen.page.locator(OPERATIONS[path])).to_have_count(expected)
    assert seen.page.title().endswith("the contract")
    seen.assert_quiet()


@pytest.mark.parametrize("path", OPERATIONS)
def test_a_page_below_a_proxys_path(visit, behind_proxy, path):
    """The name of the host is no local one, for which the pages' scripts might hold back."""
    seen = visit(behind_proxy, path)
    expect(seen.page.locator(OPERATIONS[path]).first).to_be_visible()
    seen.assert_quiet()


def test_the_root_leads_to_the_documentation(visit, behind_proxy):
    seen = visit(behind_proxy, "/")
    assert seen.page.url == f"{behind_proxy.url}/docs"


def test_an_operation_is_tried_out(visit, behind_proxy):
    page = visit(behind_proxy, "/docs").page
    page.locator(".opblock", has=page.locator("[data-path='/api/health']")).locator("button").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response .microlight").first).to_contain_text("HEALTHY")


def test_an_address_cannot_show_the_contract_of_somebody_else(visit, limited):
    """Shown under the service's name, its operations would be sent what people type."""
    seen = visit(limited, "/docs?url=https://elsewhere.test/contract.json&configUrl=https://elsewhere.test/config.json")
    expect(seen.page.locator(OPERATIONS["/docs"]).first).to_be_visible()
    seen.assert_quiet()


@pytest.mark.parametrize("path", [*OPERATIONS, "/try"])
def test_a_planted_script_does_not_run(visit, limited, path):
    seen = visit(limited, path)
    seen.page.wait_for_load_state("load")
    seen.page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", "<img src='x:' onerror='window.planted = 1'>");
            const script = document.createElement("script");
            script.textContent = "window.planted = 2";
            document.body.append(script);
            const other = document.createElement("script");
            other.src = "https://elsewhere.test/planted.js";
            document.body.append(other);
        }"""
    )
    seen.page.wait_for_timeout(200)
    assert seen.page.evaluate("window.planted") is None
    assert sum("forbidden: script-src" in complaint for complaint in seen.complaints) == 3


@pytest.mark.parametrize("path", [*OPERATIONS, "/try"])
def test_no_other_page_can_frame_it(visit, limited, path):
    seen = visit(limited, "/api/health")
    seen.page.set_content(f"<iframe src='{limited.url}{path}'></iframe>")
    seen.page.wait_for_timeout(200)
    assert any("frame-ancestors" in complaint for complaint in seen.complaints)
    assert "contract" not in seen.page.frames[-1].content()


def test_without_the_package_a_page_says_so_and_the_service_works(bucket, write_configuration, http, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\n\nsys.modules['fastapi_offline'] = None\n")
    path = write_configuration(bucket.settings())
    with ServiceProcess(OURS, path, {"PYTHONPATH": str(hidden)}) as service:
        for page in OPERATIONS:
            reply = http.exchange(service, http.request(page, method="GET"))
            assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")
            assert b"fastapi-offline" in reply.body
            for there in ("/openapi.json", f"{page}/docs.css", "/try"):
                assert http.exchange(service, http.request(there, method="GET")).status == 200
