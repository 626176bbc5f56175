"""`python3 -m diabetes_risk_model`: the command `diabetes-risk-model`, where it is not installed as one."""

from diabetes_risk_model.cli import main

if __name__ == "__main__":
    main(prog_name="diabetes-risk-model")
