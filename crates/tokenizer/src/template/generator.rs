//! What Python's lazy filters return.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, Value};

/// Values to be run over once. It is true even if there are none, and has no length.
#[derive(Debug)]
pub(super) struct Generator(Mutex<Vec<Value>>);

impl Generator {
    /// The elements of a list, lazily; any other value as it is.
    pub(super) fn wrap(value: Value) -> Result<Value, Error> {
        if value.as_object().is_none() {
            return Ok(value);
        }
        let items: Vec<Value> = value.try_iter()?.collect();
        Ok(Value::from_object(Self(Mutex::new(items))))
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Enumerator::Iter(Box::new(std::mem::take(&mut *items).into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}
