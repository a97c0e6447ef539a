//! An addon for Node in Rust: `run(mode, ms)` keeps the thread busy in functions whose symbols have every
//! form that Rust gives them: of a trait's implementation, generic, a closure's.

use std::ffi::{c_char, c_void};
use std::hint::black_box;
use std::time::{Duration, Instant};

type Value = *mut c_void;

unsafe extern "C" {
    fn napi_create_function(
        env: Value,
        name: *const c_char,
        length: usize,
        call: extern "C" fn(Value, Value) -> Value,
        data: Value,
        result: *mut Value,
    ) -> i32;
}

mod shop {
    pub trait Price {
        fn price(&self, until: std::time::Instant) -> u64;
    }

    pub struct Basket<T>(pub Vec<T>);

    impl<T: Copy + Into<u64>> Price for Basket<T> {
        #[inline(never)]
        fn price(&self, until: std::time::Instant) -> u64 {
            let add = |sum: u64, item: &T| closure_body(sum, (*item).into());
            let mut sum = 0;
            while std::time::Instant::now() < until {
                sum = self.0.iter().fold(sum, add);
            }
            sum
        }
    }

    #[inline(never)]
    fn closure_body(sum: u64, item: u64) -> u64 {
        let mut sum = std::hint::black_box(sum);
        for turn in 0..200 {
            sum = std::hint::black_box(sum.rotate_left(5) ^ item ^ turn);
        }
        sum
    }
}

#[inline(never)]
fn checkout<P: shop::Price>(basket: &P) -> u64 {
    black_box(basket.price(Instant::now() + Duration::from_millis(10)))
}

extern "C" fn run(_: Value, _: Value) -> Value {
    black_box(checkout(&shop::Basket(vec![1_u32, 2, 3])));
    std::ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn napi_register_module_v1(env: Value, exports: Value) -> Value {
    let mut function = exports;
    // SAFETY: as Node-API wants it; the name has the length that is given.
    unsafe { napi_create_function(env, c"run".as_ptr(), 3, run, std::ptr::null_mut(), &mut function) };
    function
}
