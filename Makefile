PYTHON := .venv/bin/python
lock:
	uv pip compile -q --python-version 3.11 --generate-hashes --no-header --all-extras pyproject.toml -o requirements.txt
	uv pip compile -q --python-version 3.11 --generate-hashes --no-header --extra service -c requirements.txt pyproject.toml -o service_requirements.txt
