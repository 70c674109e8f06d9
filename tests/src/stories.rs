//! Stories that share a cloud: told side by side, each in a thread with its name, so that a failure says whose it is.

use tokio::runtime::Handle;

/// A story's name, and what happens in it.
pub type Story<'a> = (&'static str, Box<dyn FnOnce(&Handle) + Send + 'a>);

/// Tells all of them to their ends, on the runtime that this is called from: one with several threads.
///
/// # Panics
///
/// If any of them has failed, when all have ended.
pub fn tell(stories: Vec<Story<'_>>) {
    let handle = Handle::current();
    let failed = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let told = stories.into_iter().map(|(name, story)| {
                let handle = &handle;
                let thread = std::thread::Builder::new().name(name.to_owned());
                (name, thread.spawn_scoped(scope, move || story(handle)).expect("a thread"))
            });
            let told: Vec<_> = told.collect();
            told.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect::<Vec<_>>()
        })
    });
    assert!(failed.is_empty(), "stories that failed, each in its own words above: {}", failed.join(", "));
}

/// Tells these async functions side by side: `stories!(of_one(a), of_another(b, c))`.
#[macro_export]
macro_rules! stories {
    ($($name:ident($($argument:expr),* $(,)?)),+ $(,)?) => {
        $crate::stories::tell(vec![
            $((stringify!($name), Box::new(|on: &tokio::runtime::Handle| on.block_on($name($($argument),*))))),+
        ])
    };
}
