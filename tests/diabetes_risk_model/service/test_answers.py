import logging

from diabetes_risk_model.service.answers import failure_answer


def fail(age=33):
    raise RuntimeError(f"the patient is {age} years old")


def test_a_failure_is_logged_by_its_place_and_without_its_text(caplog):
    try:
        fail()
    except RuntimeError as failure:
        answer = failure_answer(failure)
    assert answer.status == 500
    assert answer.body == b'{"type":"ServiceError","messages":["The service failed. Its log says where."]}'
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "RuntimeError" in record.getMessage()
    assert "in fail" in record.getMessage()
    assert "the patient is 33" not in record.getMessage()
