"""Every aioxide loop there is."""
import weakref
_loops = weakref.WeakSet()
def register(loop):
    _loops.add(loop)
