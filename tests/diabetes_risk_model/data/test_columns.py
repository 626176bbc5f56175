"""The columns: as in the file, named once, and readable."""

from diabetes_risk_model.data.columns import AGE, BMI, COLUMNS, FEATURES, GENERAL_HEALTH, READABLE_NAMES, TARGET

HEADER = (
    "Diabetes_binary,HighBP,HighChol,CholCheck,BMI,Smoker,Stroke,HeartDiseaseorAttack,PhysActivity,Fruits,Veggies,"
    "HvyAlcoholConsump,AnyHealthcare,NoDocbcCost,GenHlth,MentHlth,PhysHlth,DiffWalk,Sex,Age,Education,Income"
)


def test_codes_are_those_of_the_file_in_its_order() -> None:
    assert ",".join(column.code for column in COLUMNS) == HEADER
    assert (TARGET, *FEATURES) == COLUMNS


def test_names_are_unique_and_no_name_is_the_code_of_another_column() -> None:
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
    for column in COLUMNS:
        assert READABLE_NAMES.get(column.name, column.name) == column.name


def test_labels_cover_every_valid_value() -> None:
    for column in COLUMNS:
        if column.labels:
            assert list(column.labels) == list(column.values)


def test_expected_values_are_said_in_words() -> None:
    assert TARGET.expected == "0 (no) or 1 (yes)"
    assert GENERAL_HEALTH.expected == "1 (excellent), 2 (very good), 3 (good), 4 (fair) or 5 (poor)"
    assert AGE.expected == "a whole number from 1 (18-24) to 13 (80 or older)"
    assert BMI.expected == "a whole number from 10 to 100"
