import sys

from engine.bootstrap import ensure_python

ensure_python("engine.run")

from engine.run.main import main  # noqa: E402 - only once the right Python runs

sys.exit(main())
