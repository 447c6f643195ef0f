//! The macro that turns the list of behaviours into tests.

/// One `#[test]` per behaviour of the [conformance suite](crate::conformance), in a module of this name.
///
/// The second argument is an expression of a type that implements
/// [`Harness`](crate::conformance::Harness); it is evaluated for each test.
#[macro_export]
macro_rules! conformance_suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            use super::*;

            fn harness() -> impl $crate::conformance::Harness {
                $harness
            }

            $crate::__for_each_behaviour! { [$crate::__conformance_tests] }
        }
    };
}

/// The tests of [`conformance_suite!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($($group:ident { $($name:ident)* })*) => {$(
        mod $group {$(
            #[test]
            fn $name() {
                $crate::conformance::run_test(&super::harness(), stringify!($group), stringify!($name));
            }
        )*}
    )*};
}
