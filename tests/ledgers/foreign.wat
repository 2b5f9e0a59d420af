;; The operator `ledger` without an SDK, in WebAssembly text: what another language would make of the contract. It takes
;; over the state of `ledger-v1` and `ledger-v2` (`total`, a u64 a key), and its rows say `"by": "foreign"`.
;;
;; This is the core module; tests make a component of it. It exports nothing of `migration`, as components do that
;; take over only what has not changed. It needs no `post-return`: what a call has taken is free at the next one.
(module
  (import "statehouse:operator/state@0.1.0" "load" (func $load (param $state i32) (param $window i32)))
  (import "statehouse:operator/state@0.1.0" "store" (func $store
    (param $state i32) (param $slots i32) (param $slots_len i32)
    (param $kind i32) (param $values i32) (param $values_len i32) (param i32 i32)))
  (import "statehouse:operator/output@0.1.0" "emit" (func $emit
    (param $port i32) (param $times i32) (param $times_len i32)
    (param $keyed i32) (param $keys_kind i32) (param $keys i32) (param $keys_len i32) (param i32 i32)
    (param $kind i32) (param $offsets i32) (param $offsets_len i32) (param $arena i32) (param $arena_len i32)))

  (memory (export "memory") 4)

  ;; 0: the outcome of a call, all zeros for ok. 16: a window. 64: digits. 1024: what it declares. 4096: free.
  (global $free (mut i32) (i32.const 4096))

  ;; Texts.
  (data (i32.const 1024) "ledger")
  (data (i32.const 1032) "1")
  (data (i32.const 1040) "numbers")
  (data (i32.const 1048) "totals")
  (data (i32.const 1056) "total")
  (data (i32.const 1064) "{\"by\":\"foreign\",\"amount\":")
  (data (i32.const 1096) ",\"total\":")

  ;; The input `numbers`: an s64 by u64. Name; key, if any (layout, codec, no schema); value; whether it is broadcast.
  (data (i32.const 1152) "\10\04\00\00" "\07\00\00\00"
    "\01\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00"
    "\01\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00")
  ;; The output `totals`: JSON by u64.
  (data (i32.const 1216) "\18\04\00\00" "\06\00\00\00"
    "\01\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00"
    "\03\02\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00")
  ;; The state `total`: name, kind 0 (value), u64, no map key, no merge, no time-to-live; at 80 its schema version, 1.
  (data (i32.const 1280) "\20\04\00\00" "\05\00\00\00")
  (data (i32.const 1360) "\01\00\00\00")
  ;; The operator: name, version, inputs, outputs, states, and no timers, task states and metrics.
  (data (i32.const 1408) "\00\04\00\00" "\06\00\00\00" "\08\04\00\00" "\01\00\00\00"
    "\80\04\00\00" "\01\00\00\00" "\c0\04\00\00" "\01\00\00\00" "\00\05\00\00" "\01\00\00\00")
  ;; The list of operators.
  (data (i32.const 1472) "\80\05\00\00" "\01\00\00\00")

  (func $allocate (export "cabi_realloc")
    (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
      (then (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
          (i32.div_u (local.get $size) (i32.const 65536)))))
        (then unreachable))))
    (local.get $at))

  (func (export "statehouse:operator/operator@0.1.0#describe") (result i32)
    (i32.const 1472))

  ;; Every name is the operator's, since there is one only, and every setting is as good as none.
  (func (export "statehouse:operator/operator@0.1.0#open") (param i32 i32 i32 i32) (result i32)
    (global.set $free (i32.const 4096))
    (i32.const 0))

  ;; Writes a number in decimal digits; returns where they end.
  (func $digits (param $at i32) (param $number i64) (result i32)
    (local $first i32)
    (local.set $first (i32.const 96))
    (loop $more
      (local.set $first (i32.sub (local.get $first) (i32.const 1)))
      (i32.store8 (local.get $first)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10)))))
      (br_if $more (i64.ne (i64.const 0)
        (local.tee $number (i64.div_u (local.get $number) (i64.const 10))))))
    (memory.copy (local.get $at) (local.get $first) (i32.sub (i32.const 96) (local.get $first)))
    (i32.add (local.get $at) (i32.sub (i32.const 96) (local.get $first))))

  ;; Writes a row; returns where it ends.
  (func $row (param $at i32) (param $amount i64) (param $total i64) (result i32)
    (memory.copy (local.get $at) (i32.const 1064) (i32.const 25))
    (local.set $at (call $digits (i32.add (local.get $at) (i32.const 25)) (local.get $amount)))
    (memory.copy (local.get $at) (i32.const 1096) (i32.const 9))
    (local.set $at (call $digits (i32.add (local.get $at) (i32.const 9)) (local.get $total)))
    (i32.store8 (local.get $at) (i32.const 125))
    (i32.add (local.get $at) (i32.const 1)))

  (func (export "statehouse:operator/operator@0.1.0#process")
    (param $port i32) (param $times i32) (param $rows i32) (param $slots i32) (param $slots_len i32)
    (param $keyed i32) (param $keys_kind i32) (param $keys i32) (param $keys_len i32) (param i32 i32)
    (param $kind i32) (param $values i32) (param $values_len i32) (param i32 i32)
    (result i32)
    (local $i i32) (local $slot i32) (local $amount i64) (local $total i64)
    (local $totals i32) (local $all i32) (local $row_keys i32) (local $offsets i32) (local $arena i32) (local $end i32)
    ;; The totals of all slots, 0 where there is none yet.
    (call $load (i32.const 0) (i32.const 16))
    (local.set $totals (i32.load (i32.const 28)))
    (local.set $row_keys (call $allocate (i32.const 0) (i32.const 0) (i32.const 8)
      (i32.shl (local.get $rows) (i32.const 3))))
    (local.set $offsets (call $allocate (i32.const 0) (i32.const 0) (i32.const 4)
      (i32.shl (i32.add (local.get $rows) (i32.const 1)) (i32.const 2))))
    ;; A row has 58 bytes at most.
    (local.set $arena (call $allocate (i32.const 0) (i32.const 0) (i32.const 1)
      (i32.mul (local.get $rows) (i32.const 58))))
    (local.set $end (local.get $arena))
    (i32.store (local.get $offsets) (i32.const 0))
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $i) (local.get $rows)))
      (local.set $slot (i32.load (i32.add (local.get $slots) (i32.shl (local.get $i) (i32.const 2)))))
      (local.set $amount (i64.add (i64.const 1) (i64.and (i64.const 0xff)
        (i64.load (i32.add (local.get $values) (i32.shl (local.get $i) (i32.const 3)))))))
      (local.set $slot (i32.shl (local.get $slot) (i32.const 3)))
      (local.set $total (i64.add (local.get $amount)
        (i64.load (i32.add (local.get $totals) (local.get $slot)))))
      (i64.store (i32.add (local.get $totals) (local.get $slot)) (local.get $total))
      (i64.store (i32.add (local.get $row_keys) (i32.shl (local.get $i) (i32.const 3)))
        (i64.load (i32.add (local.get $keys) (local.get $slot))))
      (local.set $end (call $row (local.get $end) (local.get $amount) (local.get $total)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (i32.store (i32.add (local.get $offsets) (i32.shl (local.get $i) (i32.const 2)))
        (i32.sub (local.get $end) (local.get $arena)))
      (br $each)))
    ;; Slots 0, 1, 2, … of all keys.
    (local.set $all (call $allocate (i32.const 0) (i32.const 0) (i32.const 4)
      (i32.shl (local.get $keys_len) (i32.const 2))))
    (local.set $i (i32.const 0))
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $i) (local.get $keys_len)))
      (i32.store (i32.add (local.get $all) (i32.shl (local.get $i) (i32.const 2))) (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $each)))
    (call $store (i32.const 0) (local.get $all) (local.get $keys_len)
      (i32.const 0) (local.get $totals) (local.get $keys_len) (i32.const 0) (i32.const 0))
    (call $emit (i32.const 0) (local.get $times) (local.get $rows)
      (i32.const 1) (i32.const 0) (local.get $row_keys) (local.get $rows) (i32.const 0) (i32.const 0)
      (i32.const 3) (local.get $offsets) (i32.add (local.get $rows) (i32.const 1))
      (local.get $arena) (i32.sub (local.get $end) (local.get $arena)))
    (global.set $free (i32.const 4096))
    (i32.const 0))

  ;; There are no timers.
  (func (export "statehouse:operator/operator@0.1.0#on-timers")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    unreachable))
