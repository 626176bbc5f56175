import json

from diabetes_risk_model.service.process import ServiceProcess

OURS = "diabetes_risk_model.service.main:app"
MODEL = "/api/models/diabetes_risk_model"


def get(http, service, path):
    return http.exchange(service, http.request(path, b"", method="GET"))


def test_the_paths_of_rest_model_service_answer_as_there(limited, http):
    assert get(http, limited, "/").headers["location"] == "/docs"
    assert get(http, limited, "/api/health").json == {"health_status": "HEALTHY"}
    assert get(http, limited, "/api/health/ready").json == {"readiness_status": "ACCEPTING_TRAFFIC"}
    assert get(http, limited, "/api/health/startup").json == {"startup_status": "STARTED"}
    (model,) = get(http, limited, "/api/models").json["models"]
    assert set(model) == {"display_name", "qualified_name", "description", "version"}
    assert model["qualified_name"] == "diabetes_risk_model"


def test_the_metadata_hold_the_verified_statement(limited, http, served_model):
    found = get(http, limited, f"{MODEL}/metadata").json
    assert found["statement"] == json.loads(served_model.model.statement.to_payload())
    assert found["key_ids"] == list(served_model.model.key_ids)
    assert found["input_schema"]["additionalProperties"] is False


def test_the_card_is_a_page_that_can_do_nothing(http, make_bucket, trained_model, write_configuration, tmp_path):
    card = tmp_path / "card.html"
    card.write_bytes(b"<!doctype html><title>Card</title><script>alert(1)</script>")
    bucket = make_bucket(files={**trained_model.files, "card.html": card})
    with ServiceProcess(OURS, write_configuration(bucket.settings())) as service:
        reply = get(http, service, f"{MODEL}/card")
        assert get(http, service, "/metrics").status == 404, "they are served where the configuration says so only"
    assert (reply.status, reply.body) == (200, card.read_bytes())
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().partition(" ")[::2] for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["sandbox"] == ""
    assert "script-src" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_package_without_a_card(limited, http):
    reply = get(http, limited, f"{MODEL}/card")
    assert (reply.status, reply.json["type"]) == (404, "NotFound")
