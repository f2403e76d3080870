//! `aioxide._aioxide`: Python's asyncio on the aioxide engine.
//!
//! | module | holds |
//! |---|---|
//! | `object` | the unsafe room: native objects over the C API |
//! | `futures`, `tasks`, `sleep` | what is awaited |
//! | `gather` | one future for the results of many |
//! | `combinators` | `wait()`, `wait_for()`, `as_completed()`, `shield()` |
//! | `timeouts` | `timeout()`, `timeout_at()` |
//! | `taskgroups` | `TaskGroup` |
//! | `locks` | `Lock` and its like |
//! | `queues` | `Queue` and its like |
//! | `mixins`, `deque`, `overrides` | what queues, locks and streams share |
//! | `coroutines` | coroutines without a Python frame |
//! | `handles` | what the loop was asked to run |
//! | `events` | the loop |
//! | `transports` | TCP and unix sockets, pipes |
//! | `serving` | listening sockets |
//! | `streams` | readers and writers over any transport |
//! | `sslproto` | TLS |
//! | `imports`, `errors` | what comes from the standard library; exceptions |

mod addresses;
mod combinators;
mod coroutines;
mod deque;
mod errors;
mod events;
mod futures;
mod gather;
mod handles;
mod imports;
mod locks;
mod mixins;
mod object;
mod overrides;
mod queues;
mod serving;
mod sleep;
mod sockets;
mod sslproto;
mod streams;
mod taskgroups;
mod tasks;
mod timeouts;
mod transports;

use pyo3::prelude::*;
use pyo3::types::{PyList, PySet, PyType};

/// Every native task that was started and has not finished, of all loops.
#[pyfunction]
fn live_tasks(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, tasks::live(py))
}

/// The native tasks of a loop that were started and have not finished.
#[pyfunction]
fn unfinished_tasks<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    tasks::unfinished(event_loop)
}

/// Looks up what the extension needs of asyncio, before anybody replaces it there.
#[pyfunction]
fn _prepare(py: Python<'_>) -> PyResult<()> {
    imports::imports(py).map(drop)
}

/// Lets `isinstance` and `issubclass` see in `Future` and `Task` what they see in asyncio's: the struct
/// layouts do not let `Task` inherit from `Future`.
fn unite(future: &Bound<'_, PyType>, task: &Bound<'_, PyType>) -> PyResult<()> {
    let py = future.py();
    let metaclass = py.import("abc")?.getattr("ABCMeta")?.cast_into::<PyType>()?;
    object::set_metaclass(future, &metaclass)?;
    object::set_metaclass(task, &metaclass)?;
    py.import("aioxide.kinship")?.call_method1("unite", (future, task))?;
    Ok(())
}

/// Learns how this build of CPython keeps its contexts and, where it does, its tasks.
fn learn(py: Python<'_>) -> PyResult<()> {
    object::learn_contexts(py)?;
    if !object::compat::TASKS_ARE_PUBLISHED {
        return Ok(());
    }
    let specimens = py.import("aioxide.specimens")?.call_method0("make")?;
    let part = |name: &str| specimens.getattr(name);
    let (task, first, second, event_loop) = (part("task")?, part("first")?, part("second")?, part("loop")?);
    let found = object::published::find(&task, [&first, &second], &event_loop);
    specimens.call_method0("discard")?;
    found
}

/// The extension module.
#[pymodule(gil_used = true)]
fn _aioxide(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    // Before anything imports `_asyncio`, which would find a half-made asyncio.
    py.import("asyncio")?;
    learn(py)?;
    module.add("Future", futures::build(py)?)?;
    futures::build_iterator(py)?;
    module.add("Task", tasks::build(py)?)?;
    module.add("Handle", handles::build(py)?)?;
    module.add("TimerHandle", handles::build_timer(py)?)?;
    handles::build_threadsafe(py)?;
    module.add("Sleep", sleep::build(py)?)?;
    module.add("SocketTransport", transports::build(py)?)?;
    module.add("ReadPipeTransport", transports::pipes::build_read(py)?)?;
    module.add("WritePipeTransport", transports::pipes::build_write(py)?)?;
    module.add("DatagramTransport", transports::datagrams::build(py)?)?;
    module.add("Listener", serving::build(py)?)?;
    module.add("LoopCore", events::build(py)?)?;
    module.add("LockCore", locks::build_lock(py)?)?;
    module.add("EventCore", locks::build_event(py)?)?;
    module.add("ConditionCore", locks::build_condition(py)?)?;
    module.add("BarrierCore", locks::build_barrier(py)?)?;
    module.add("SemaphoreCore", locks::build_semaphore(py)?)?;
    module.add("TaskGroupCore", taskgroups::build(py)?)?;
    module.add("QueueCore", queues::build(py)?)?;
    module.add("StreamReaderCore", streams::build_reader(py)?)?;
    module.add("StreamWriterCore", streams::build_writer(py)?)?;
    module.add("FlowControlCore", streams::build_flow_control(py)?)?;
    module.add("StreamReaderProtocolCore", streams::build_protocol(py)?)?;
    sockets::build(py)?;
    streams::build_reading(py)?;
    streams::build_draining(py)?;
    module.add("SSLTransport", sslproto::build_transport(py)?)?;
    module.add("SSLProtocol", sslproto::build(py)?)?;
    unite(
        &module.getattr("Future")?.cast_into()?,
        &module.getattr("Task")?.cast_into()?,
    )?;
    let doc = c"sleep(delay, result=None)\n--\n\nSuspends the task for a time in seconds, then returns the result.";
    module.add("sleep", object::function(module, c"sleep", doc, sleep::sleep)?)?;
    let doc = c"create_task(coro, *, name=None, context=None, eager_start=False)\n--\n\nSchedules a coroutine in the running loop; returns its Task.";
    module.add(
        "create_task",
        object::function(module, c"create_task", doc, tasks::create_in_running_loop)?,
    )?;
    let doc = c"ensure_future(coro_or_future, *, loop=None)\n--\n\nReturns a future as it is, and a task for a coroutine or another awaitable.";
    module.add(
        "ensure_future",
        object::function(module, c"ensure_future", doc, tasks::ensure_future)?,
    )?;
    let gathering = gather::build(py)?;
    module.getattr("Future")?.call_method1("register", (&gathering,))?;
    module.setattr("_GatheringFuture", gathering)?;
    let doc = c"gather(*coros_or_futures, return_exceptions=False)\n--\n\nReturns a future for the list of their results, in the order given.";
    module.add("gather", object::function(module, c"gather", doc, gather::gather)?)?;
    combinators::build_wait(py)?;
    let doc = c"wait(fs, *, timeout=None, return_when='ALL_COMPLETED')\n--\n\nWaits until some of the futures have ended; returns two sets: (done, pending).";
    module.add("wait", object::function(module, c"wait", doc, combinators::wait)?)?;
    combinators::build_wait_for(py)?;
    let doc =
        c"wait_for(fut, timeout)\n--\n\nWaits for a result; cancels, and raises TimeoutError, after so many seconds.";
    module.add(
        "wait_for",
        object::function(module, c"wait_for", doc, combinators::wait_for)?,
    )?;
    combinators::build_shield(py)?;
    let doc =
        c"shield(arg)\n--\n\nReturns a future for an awaitable's outcome, the cancellation of which does not reach it.";
    module.add("shield", object::function(module, c"shield", doc, combinators::shield)?)?;
    combinators::build_as_completed(py)?;
    let doc = c"as_completed(fs, *, timeout=None)\n--\n\nIterates over awaitables in the order in which they end.";
    module.add(
        "as_completed",
        object::function(module, c"as_completed", doc, combinators::as_completed)?,
    )?;
    module.add("Timeout", timeouts::build(py)?)?;
    let doc = c"timeout(delay)\n--\n\nCancels the task that enters it when so many seconds have passed.";
    module.add("timeout", object::function(module, c"timeout", doc, timeouts::timeout)?)?;
    let doc = c"timeout_at(when)\n--\n\nCancels the task that enters it at a time of the loop's clock.";
    module.add(
        "timeout_at",
        object::function(module, c"timeout_at", doc, timeouts::timeout_at)?,
    )?;
    // Not by `add_function`, which would export it.
    module.setattr("_prepare", wrap_pyfunction!(_prepare, module)?)?;
    module.add_function(wrap_pyfunction!(live_tasks, module)?)?;
    module.add_function(wrap_pyfunction!(unfinished_tasks, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}
