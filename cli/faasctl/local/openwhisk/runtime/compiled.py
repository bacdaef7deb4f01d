import os
import sys

# A zip made by `docker run -i <image> -compile main`: it brings its own launcher, exec__.py.
number = int(sys.argv.pop())
if number != 3:
    os.dup2(number, 3)
os.set_inheritable(3, True)
os.closerange(4, 1024)
os.execv(sys.executable, [sys.executable, "-s", "exec__.py"])  # noqa: S606
