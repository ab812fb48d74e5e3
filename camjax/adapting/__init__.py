"""What adapters are made of: scopes around module calls, and functions that key compiled programs.

An adapter turns a framework's model into a `camjax.Model`. It has no mathematics in it: `apply(params, x)` runs the
model, with each module's call inside the absolute scope that `Calls.run` opens, and is wrapped in `Apply`, so that
wrapping an equal model again compiles nothing.
"""

from camjax.adapting._apply import Apply as Apply
from camjax.adapting._apply import Inputs as Inputs
from camjax.adapting._scopes import Calls as Calls
from camjax.adapting._scopes import is_forward as is_forward
from camjax.adapting._scopes import mark_silent as mark_silent
from camjax.adapting._scopes import scope_name as scope_name
