//! Context variables: values that follow a task and the tasks that it makes.
//!
//! A [`Context`] is an immutable map, shared until it is written to: a task copies its maker's context by
//! copying a pointer, and one that sets no variable never allocates.
//!
//! Counterpart: `contextvars`.

#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use crate::sys::current::with_current;

/// A variable whose value belongs to the context of the running task.
///
/// ```
/// use aioxide::{ContextVar, Cancelled, create_task, run};
///
/// static REQUEST: ContextVar<u32> = ContextVar::new("request");
///
/// run(async {
///     REQUEST.set(1);
///     let child = create_task(async {
///         let inherited = REQUEST.get();
///         REQUEST.set(2); // Its own copy.
///         inherited
///     });
///     assert_eq!(child.await.unwrap(), Some(1));
///     assert_eq!(REQUEST.get(), Some(1));
/// });
/// ```
#[derive(Debug)]
pub struct ContextVar<T> {
    name: &'static str,
    _value: std::marker::PhantomData<fn() -> T>,
}

impl<T: Clone + 'static> ContextVar<T> {
    /// Makes a variable. Its address is its identity, so it is a `static`.
    ///
    /// # Examples
    /// ```
    /// use aioxide::ContextVar;
    ///
    /// static DEPTH: ContextVar<u32> = ContextVar::new("depth");
    /// assert_eq!(DEPTH.get(), None); // There is no default; `unwrap_or` gives one.
    /// ```
    pub const fn new(name: &'static str) -> ContextVar<T> {
        ContextVar {
            name,
            _value: std::marker::PhantomData,
        }
    }

    /// Returns the variable's name.
    ///
    /// # Examples
    /// ```
    /// use aioxide::ContextVar;
    ///
    /// static DEPTH: ContextVar<u32> = ContextVar::new("depth");
    /// assert_eq!(DEPTH.name(), "depth");
    /// ```
    pub const fn name(&'static self) -> &'static str {
        self.name
    }

    /// Returns the value in the current context, if it was set.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{ContextVar, create_task, run};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// run(async {
    ///     assert_eq!(USER.get(), None);
    ///     USER.set("alice");
    ///     assert_eq!(create_task(async { USER.get() }).await.unwrap(), Some("alice"));
    /// });
    /// ```
    pub fn get(&'static self) -> Option<T> {
        with_context(|context| context.borrow().find(self.key()))?
            .downcast_ref::<T>()
            .cloned()
    }

    /// Sets the value in the current context; [`ContextVar::reset`] undoes it with the token.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{ContextVar, create_task, run};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// run(async {
    ///     USER.set("alice");
    ///     create_task(async { USER.set("bob") }).await.unwrap(); // In the task's own context.
    ///     assert_eq!(USER.get(), Some("alice"));
    /// });
    /// ```
    pub fn set(&'static self, value: T) -> Token<T> {
        Token {
            variable: self,
            former: self.replace(Some(Rc::new(value))),
        }
    }

    /// Puts back the value that [`ContextVar::set`] replaced.
    ///
    /// # Examples
    /// ```
    /// use aioxide::ContextVar;
    ///
    /// static LEVEL: ContextVar<u32> = ContextVar::new("level");
    ///
    /// LEVEL.set(1);
    /// let token = LEVEL.set(2);
    /// LEVEL.reset(token);
    /// assert_eq!(LEVEL.get(), Some(1));
    /// ```
    pub fn reset(&'static self, token: Token<T>) {
        debug_assert!(std::ptr::eq(self, token.variable), "the token is of another variable");
        let replaced = self.replace(token.former);
        drop(replaced);
    }

    fn replace(&'static self, value: Option<Value>) -> Option<Value> {
        with_context(|context| {
            let mut changed = context.borrow().clone();
            let former = changed.put(self.key(), value);
            // The map is released when it is not borrowed: values may have destructors.
            let released = context.replace(changed);
            drop(released);
            former
        })
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// What [`ContextVar::set`] returns.
///
/// # Examples
/// ```
/// use aioxide::{ContextVar, Token};
///
/// static LEVEL: ContextVar<u32> = ContextVar::new("level");
///
/// let token: Token<u32> = LEVEL.set(1);
/// LEVEL.reset(token);
/// assert_eq!(LEVEL.get(), None);
/// ```
pub struct Token<T: 'static> {
    variable: &'static ContextVar<T>,
    former: Option<Value>,
}

impl<T> std::fmt::Debug for Token<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Token").field(&self.variable.name).finish()
    }
}

/// The values of all context variables at one time.
///
/// ```
/// use aioxide::{ContextVar, copy_context};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// aioxide::run(async {
///     let token = USER.set("alice");
///     let mut copied = copy_context();
///     USER.reset(token);
///     assert_eq!((USER.get(), copied.run(|| USER.get())), (None, Some("alice")));
/// });
/// ```
#[derive(Clone, Default)]
pub struct Context {
    values: Option<Rc<Vec<(usize, Value)>>>,
}

impl Context {
    /// Makes a context in which no variable is set.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// USER.set("alice");
    /// assert_eq!(Context::new().run(|| USER.get()), None);
    /// ```
    pub const fn new() -> Context {
        Context { values: None }
    }

    /// Calls `body` in this context; what it sets stays here.
    ///
    /// # Examples
    /// ```
    /// use aioxide::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let mut request = Context::new();
    /// request.run(|| USER.set("alice"));
    /// assert_eq!(request.run(|| USER.get()), Some("alice"));
    /// assert_eq!(USER.get(), None);
    /// ```
    pub fn run<R>(&mut self, body: impl FnOnce() -> R) -> R {
        with_context(|context| {
            let outer = context.replace(std::mem::take(self));
            let restore = Restore {
                context,
                outer: Some(outer),
                inner: self,
            };
            let result = body();
            drop(restore);
            result
        })
    }

    fn find(&self, key: usize) -> Option<Value> {
        let values = self.values.as_ref()?;
        values
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| Rc::clone(value))
    }

    fn put(&mut self, key: usize, value: Option<Value>) -> Option<Value> {
        let values = Rc::make_mut(self.values.get_or_insert_default());
        let place = values.iter().position(|(known, _)| *known == key);
        match (place, value) {
            (Some(place), Some(value)) => Some(std::mem::replace(&mut values[place].1, value)),
            (Some(place), None) => Some(values.swap_remove(place).1),
            (None, Some(value)) => {
                values.push((key, value));
                None
            }
            (None, None) => None,
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.values.as_ref().map_or(0, |values| values.len());
        formatter.debug_struct("Context").field("variables", &count).finish()
    }
}

/// Returns a copy of the current context.
///
/// ```
/// use aioxide::{ContextVar, copy_context};
///
/// static COLOUR: ContextVar<&str> = ContextVar::new("colour");
///
/// let mut context = copy_context();
/// context.run(|| COLOUR.set("red"));
/// assert_eq!(COLOUR.get(), None);
/// assert_eq!(context.run(|| COLOUR.get()), Some("red"));
/// ```
pub fn copy_context() -> Context {
    with_context(|context| context.borrow().clone())
}

/// Puts the outer context back, also when the body panics.
struct Restore<'a> {
    context: &'a RefCell<Context>,
    outer: Option<Context>,
    inner: &'a mut Context,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            *self.inner = self.context.replace(outer);
        }
    }
}

/// Lends the current context: the loop's, or the thread's own where no loop runs.
fn with_context<R>(body: impl FnOnce(&RefCell<Context>) -> R) -> R {
    with_current(|running| match running {
        Some(running) => body(running.context()),
        None => OUTSIDE.with(body),
    })
}

thread_local! {
    static OUTSIDE: RefCell<Context> = const { RefCell::new(Context::new()) };
}

type Value = Rc<dyn Any>;
