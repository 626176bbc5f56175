"""/try in a browser: what a person answers there, and sees."""

import json
import re
import urllib.request
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from diabetes_risk_model.prediction.schemas import Age, GeneralHealth, Income
from diabetes_risk_model.service.application import application_of
from diabetes_risk_model.service.configuration import CheckedConfiguration, CheckedModel
from diabetes_risk_model.service.process import ServiceProcess
from tests.screenshot import take

COMMITTED = Path(__file__).parents[4] / "docs" / "try.png"
OURS = "diabetes_risk_model.service.main:app"
CLASS_PATH = "diabetes_risk_model.prediction.model.DiabetesRiskModel"
PREDICTION = "/api/models/diabetes_risk_model/prediction"
PERSON = {"body_mass_index": 31.5, "general_health": "FAIR", "age": "FROM_60_TO_64", "income": "UNDER_20_000"}
ILLNESS = {"general_health": "POOR", "age": "FROM_80"}


def ask(service, person):
    request = urllib.request.Request(
        service.url + PREDICTION, json.dumps(person).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def fill_in(page, person):
    if "body_mass_index" in person:
        page.get_by_label("Body mass index", exact=True).fill(str(person["body_mass_index"]))
    if "general_health" in person:
        page.get_by_role("radio", name=person["general_health"].title(), exact=True).check()
    for field in {"age", "income"} & set(person):
        page.get_by_label(field.title(), exact=True).select_option(person[field])


def press(page):
    page.get_by_role("button", name="Estimate the risk").click()


def assert_shown(page, answer):
    percent = f"{100 * answer['probability']:.1f}%"
    likelier = {"DIABETES": "Diabetes or prediabetes is", "NO_DIABETES": "No diabetes is"}[answer["diabetes_risk"]]
    expect(page.locator("#verdict")).to_have_text(f"{likelier} the likelier answer: {percent}")
    expect(page.locator("#gauge .number")).to_have_text(percent)
    expect(page.get_by_role("img", name=f"{percent} on a scale from 0% to 100%, with a mark at 50%")).to_be_visible()
    drawn = page.locator("#gauge .value").get_attribute("stroke-dasharray")
    assert float(drawn.split()[0]) == pytest.approx(100 * answer["probability"])


@pytest.mark.parametrize("person", [PERSON, {**ILLNESS, "body_mass_index": 45, "income": "UNDER_10_000"}, {}])
def test_the_page_shows_what_the_service_answers(visit, limited, person):
    seen = visit(limited, "/try")
    fill_in(seen.page, person)
    press(seen.page)
    assert_shown(seen.page, ask(limited, person))
    expect(seen.page.locator("#meaning")).to_contain_text("in a population where half of the people have it")
    expect(seen.page.get_by_text("For teaching; not medical advice.")).to_be_visible()
    seen.assert_quiet()


def test_it_says_what_was_imputed(visit, limited):
    page = visit(limited, "/try").page
    fill_in(page, PERSON)
    press(page)
    assert_shown(page, ask(limited, PERSON))
    expect(page.locator("#imputed")).to_be_hidden()
    page.get_by_label("Income", exact=True).select_option(label="I’d rather not say")  # noqa: RUF001
    page.get_by_label("I’d rather not say").first.check()  # noqa: RUF001
    assert_shown(page, ask(limited, {"general_health": "FAIR", "age": "FROM_60_TO_64"}))
    typical = "not answered, so the survey’s typical value was used."  # noqa: RUF001
    expect(page.locator("#imputed li")).to_have_text([f"Body mass index: {typical}", f"Income: {typical}"])
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#verdict")).to_have_text("Nothing asked yet.")
    press(page)
    assert_shown(page, ask(limited, {}))
    expect(page.locator("#imputed li")).to_have_count(4)


def test_its_options_and_range_are_the_schemas(visit, limited):
    page = visit(limited, "/try").page
    for field, kind in (("age", Age), ("income", Income)):
        options = page.locator(f"#{field} option")
        expect(options).to_have_count(len(kind) + 1)
        assert options.evaluate_all("all => all.map((one) => one.value)") == ["", *kind]
    values = page.locator("#general_health input").evaluate_all("all => all.map((one) => one.value)")
    assert values == [*GeneralHealth, ""]
    for field in ("#body_mass_index", "#body_mass_index-slider"):
        assert [page.locator(field).get_attribute(end) for end in ("min", "max")] == ["15", "60"]
    texts = page.locator("#income option").all_inner_texts()
    assert (texts[1], texts[2], texts[-1]) == ("Under $10,000", "$10,000 to under $15,000", "$75,000 or more")
    ages = page.locator("#age option").all_inner_texts()
    assert (ages[1], ages[-1]) == ("18 to 24", "80 or older")


def test_it_says_which_parameters_answer(visit, limited, served_model):
    page = visit(limited, "/try").page
    statement = served_model.model.statement
    facts = page.locator("#source dd")
    expect(facts).to_have_text(
        [
            "Diabetes Risk Model 0.1.0",
            statement.parameters_version,
            str(statement.serial),
            re.compile(str(statement.created.year)),
            served_model.model.key_id,
        ]
    )
    expect(page.get_by_role("link", name="Model card")).to_be_hidden()  # because this package has none


def test_the_card_is_a_click_away(visit, make_bucket, trained_model, write_configuration, tmp_path):
    card = tmp_path / "card.html"
    card.write_bytes(b"<!doctype html><title>Card</title><h1>What it is for</h1>")
    bucket = make_bucket(files={**trained_model.files, "card.html": card})
    with ServiceProcess(OURS, write_configuration(bucket.settings())) as service:
        page = visit(service, "/try").page
        page.get_by_role("link", name="Model card").click()
        expect(page.get_by_role("heading", name="What it is for")).to_be_visible()


@pytest.mark.parametrize("wrong", ["99", "14.9", "-3", "1e400"])
def test_a_body_mass_index_that_does_not_fit_is_explained_at_its_question(visit, limited, wrong):
    page = visit(limited, "/try").page
    field = page.get_by_label("Body mass index", exact=True)
    field.click()
    page.keyboard.type(wrong)
    press(page)
    assert_explained(page, field)
    field.fill("30")
    assert_shown(page, ask(limited, {"body_mass_index": 30}))
    expect(field).to_have_attribute("aria-invalid", "false")


def assert_explained(page, field):
    expect(page.locator("#body_mass_index-error")).to_have_text(
        "Please give a number from 15 to 60, or choose “I’d rather not say”."  # noqa: RUF001
    )
    expect(page.locator("#verdict")).to_have_text("The answers do not fit")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()


@pytest.mark.parametrize("text", ["e", "--", "3-0"])
def test_what_is_no_number_is_not_taken_for_no_answer(visit, limited, text):
    page = visit(limited, "/try").page
    field = page.get_by_label("Body mass index", exact=True)
    field.click()
    page.keyboard.type(text)
    press(page)
    assert_explained(page, field)


def test_the_body_mass_index_from_weight_and_height(visit, limited):
    page = visit(limited, "/try").page
    field = page.get_by_label("Body mass index", exact=True)
    page.get_by_text("Work it out from weight and height").click()
    page.get_by_label("Weight kg").fill("80")
    page.get_by_label("Height cm").fill("175")
    expect(field).to_have_value("26.1")
    page.get_by_label("Pounds, feet and inches").check()
    page.get_by_label("Weight lb").fill("220")
    page.get_by_label("Height, feet").fill("5")
    page.get_by_role("spinbutton", name="and inches").fill("10")
    expect(field).to_have_value("31.6")
    page.get_by_label("Height, feet").fill("2")
    expect(page.locator("#worked-out")).to_contain_text("please check both numbers")
    expect(field).to_have_value("31.6")
    press(page)
    assert_shown(page, ask(limited, {"body_mass_index": 31.6}))


def test_it_is_used_by_the_keyboard_alone(visit, limited):
    page = visit(limited, "/try").page
    expect(page.locator("#columns")).to_be_visible()
    keys = page.keyboard
    focused = "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
    order = []

    def tab_to(name):
        for _ in range(12):
            keys.press("Tab")
            order.append(page.evaluate(focused))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "hidden"
            if order[-1] == name:
                return
        raise AssertionError(f"the key Tab never leads to {name}, but to {order}")

    tab_to("body_mass_index-slider")
    keys.press("Home")
    for _ in range(10):
        keys.press("ArrowRight")
    expect(page.get_by_label("Body mass index", exact=True)).to_have_value("16")
    tab_to("body_mass_index-left")
    tab_to("general_health")
    keys.press("ArrowLeft")  # from the last, which says that there is no answer
    tab_to("age")
    keys.press("End")
    tab_to("income")
    keys.press("ArrowDown")
    tab_to("estimate")
    keys.press("Enter")
    assert_shown(page, ask(limited, {**ILLNESS, "body_mass_index": 16, "income": "UNDER_10_000"}))


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_or_pushed_out(visit, limited, width, scheme):
    seen = visit(limited, "/try", viewport={"width": width, "height": 740}, color_scheme=scheme)
    page = seen.page
    page.get_by_text("Work it out from weight and height").click()
    press(page)
    assert_shown(page, ask(limited, {}))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_label("Body mass index", exact=True).fill("99")
    expect(page.locator("#body_mass_index-error")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert seen.outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_text_stands_out_from_its_ground(visit, limited, scheme):
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    page = visit(limited, "/try", color_scheme=scheme).page
    press(page)
    expect(page.locator("#result")).to_have_attribute("data-state", "answer")
    colours = page.evaluate(
        """() => [".lead", ".advice", ".hint", "#verdict", "#meaning", "button.main", "dt", "a", "summary", ".error"]
            .map((name) => {
                const element = document.querySelector(name);
                let ground = element;
                while (getComputedStyle(ground).backgroundColor.endsWith(", 0)")) ground = ground.parentElement;
                return [name, getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
            })"""
    )
    for name, ink, ground in colours:
        light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ink, ground)


def luminance(colour):
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_below_a_proxys_path(visit, behind_proxy):
    seen = visit(behind_proxy, "/try")
    fill_in(seen.page, PERSON)
    press(seen.page)
    assert_shown(seen.page, ask(behind_proxy.process, PERSON))
    seen.page.get_by_role("link", name="API").click()
    assert seen.page.url == f"{behind_proxy.url}/docs"
    seen.assert_quiet()


def test_a_service_that_is_not_ready_is_waited_for(visit, bucket, write_configuration):
    parts = {path: path.read_bytes() for path in bucket.folder.iterdir()}
    for path in parts:
        path.unlink()
    configuration = write_configuration(bucket.settings())
    fields = yaml.safe_load(configuration.read_text())
    configuration.write_text(yaml.safe_dump({**fields, "retries": {"first_seconds": 0.1, "longest_seconds": 0.4}}))
    with ServiceProcess(OURS, configuration, wait_ready=False) as service:
        page = visit(service, "/try").page
        expect(page.get_by_role("alert")).to_contain_text("not ready yet: its model is not loaded (NotFound)")
        expect(page.locator("#questions")).to_be_hidden()
        for path in sorted(parts):
            path.write_bytes(parts[path])
        expect(page.locator("#questions")).to_be_visible(timeout=15_000)
        expect(page.locator("#notice")).to_be_hidden()
        press(page)
        assert_shown(page, ask(service, {}))


def test_a_service_that_refused_its_package_is_not(visit, bucket, write_configuration):
    path = write_configuration(bucket.settings(minimum_serial=2))
    with ServiceProcess(OURS, path, wait_ready=False) as service:
        page = visit(service, "/try").page
        page.get_by_role("button", name="Ask again now").click()
        expect(page.locator("#notice")).to_contain_text("cannot load its model (RolledBack). It will not by itself")
        expect(page.locator("#notice")).not_to_contain_text("asks again")


def test_a_service_that_goes_away_and_comes_back(visit, bucket, write_configuration):
    path = write_configuration(bucket.settings())
    with ServiceProcess(OURS, path) as service:
        page = visit(service, "/try").page
        fill_in(page, PERSON)
        port = int(service.url.rsplit(":", 1)[1])
    press(page)
    expect(page.locator("#notice")).to_contain_text("The service does not answer.")
    expect(page.locator("#verdict")).to_have_text("No estimate")
    with ServiceProcess(OURS, path, port=port) as service:
        page.get_by_role("button", name="Ask again now").click()
        assert_shown(page, ask(service, PERSON))
        expect(page.locator("#notice")).to_be_hidden()


def test_the_picture_of_the_page_is_taken(browser, limited, tmp_path):
    picture = tmp_path / "try.png"
    take(browser, limited.url, picture)
    for path in (picture, COMMITTED):
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 120_000, path


def test_only_a_model_with_these_questions_can_be_tried(tmp_path, monkeypatch):
    (tmp_path / "another_model.py").write_text(
        "from ml_base import MLModel\n"
        "from pydantic import BaseModel\n\n\n"
        "class AnotherModel(MLModel):\n"
        "    display_name = description = 'Another'\n"
        "    qualified_name = 'another'\n"
        "    version = '1'\n"
        "    input_schema = output_schema = BaseModel\n\n"
        "    def __init__(self):\n"
        "        pass\n\n"
        "    def predict(self, data):\n"
        "        return data\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for class_path, shown, expected in [
        (CLASS_PATH, True, True),
        (CLASS_PATH, False, False),
        ("another_model.AnotherModel", True, False),
    ]:
        model = CheckedModel(class_path=class_path, create_endpoint=shown)
        application = application_of(CheckedConfiguration(models=[model]))
        assert ("/try" in {getattr(route, "path", None) for route in application.routes}) is expected
