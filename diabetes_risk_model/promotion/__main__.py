"""`python -m diabetes_risk_model.promotion` is `diabetes-risk-model promote`, with nothing of the other commands."""

from diabetes_risk_model.promotion.commands import promote

if __name__ == "__main__":
    promote(prog_name="promote")
