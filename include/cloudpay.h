/* cloudpay: WeChat Pay and Alipay for cash registers. MIT OR Apache-2.0.
 *
 * Generated from src/ffi by `cargo xtask header`: change it there.
 *
 * CONVENTIONS
 *
 * Text      NUL-terminated; UTF-8, or GBK after `common_conf.charset = "gbk"`. Requests are JSON
 *           objects; whole numbers may come as numbers or as strings. Amounts are in fen. Unknown
 *           keys are accepted and logged once. Text that the character set can't be is -3, with
 *           the byte offset (-1 from cloud_pay_init).
 * Ownership What you pass in stays yours: it is copied before the call returns. Buffers for output
 *           are yours. `const char *` results belong to the library: don't free them.
 * Buffers   `length` counts bytes, NUL included. A buffer that is NULL or too small gets nothing
 *           but a NUL, the call returns -8, and the message names the size. Payments check their
 *           buffer before they act.
 * Errors    A call returns 0 or one of the codes below; cloud_pay_get_errmsg() tells why, for the
 *           last call of the same thread.
 * Calls     Functions are __cdecl on 32-bit Windows; cloud_pay_order_stat() and every name that
 *           ends in `_std` are __stdcall. Elsewhere there is one convention, and a `_std` name is
 *           only another name.
 * Threads   Any thread may call anything at any time, cloud_pay_init() and cloud_pay_fini()
 *           included. Each function's text says how long it may block. Callbacks come on a thread
 *           of the library.
 * Money     0 from a query means proven: an authenticated answer about this order and this amount.
 *           -1 means proven not charged. Everything else is -2: query again, and don't give the
 *           goods away or take the money twice. After 0 from cloud_pay_micro_pay() the order is
 *           on disk: kill the process, pull the plug, and the next cloud_pay_init() finds it.
 * Shutdown  cloud_pay_fini() when the register closes; not from a callback, not from DllMain. Exit
 *           without it loses nothing. After fork(), the child has no library: exec first.
 *
 *   0  paid, accepted, done               -5  QR code ready (query, wait)
 *  -1  failed, refused, not accepted      -6  re-entry: the number is another payment's,
 *  -2  not known: query again                 never cancel it
 *  -3  an error; says nothing about       -7  no such order (query, wait)
 *      any payment                        -8  buffer missing or too small
 *  -4  refunded, reversed or closed
 */

#ifndef CLOUDPAY_H
#define CLOUDPAY_H

#include <stddef.h>

#if defined(_WIN32) && !defined(_WIN64)
#define CLOUDPAY_CDECL __cdecl
#define CLOUDPAY_STDCALL __stdcall
#else
#define CLOUDPAY_CDECL
#define CLOUDPAY_STDCALL
#endif

// Called with news about an order: it became final, its QR code is ready, a late payment came in,
// or an order that had failed because the gateway didn't know it is under way after all (-2).
//
// @param out_trade_no The order number. @param code What cloud_pay_query_order() would return.
// @param order The whole order JSON. @param user What was given to cloud_pay_set_callback().
//
// Runs on a thread of the library. The texts belong to the library and end with the call. It may
// call any function but cloud_pay_init() and cloud_pay_fini(), and must not throw or longjmp.
typedef void (CLOUDPAY_CDECL *cloud_pay_callback)(const char *out_trade_no, int code, const char *order, void *user);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Starts the library. 初始化。
//
// @param conf CloudPayConf, a JSON text (see README, "Configuration"). UTF-8; GBK text is
//   accepted when `common_conf.charset` is `"gbk"`.
// @return 0 running; -1 configuration refused (the message names the key); -3 internal error, or
//   in the child of a fork().
//
// Opens and locks the journal, starts the worker threads, and takes up what an earlier process
// left unfinished: see cloud_pay_pending_orders(). Blocks for reading the journal; does no network
// on this thread.
// Called again with the same configuration while running: 0, nothing changes. With another one:
// -1, call cloud_pay_fini() first.
//
// # Safety
// `conf` is NULL or points to a NUL-terminated string.
int CLOUDPAY_CDECL cloud_pay_init(const char *conf);

// Stops the library. 停止。
//
// @return 0 stopped, or was not running; -3 called from the callback, or the callback never
//   returned.
//
// Refuses new calls, wakes cloud_pay_wait_order(), lets requests under way end (at most
// `fini_timeout_ms`, then their connections are cut), writes the journal and joins every thread:
// at most `fini_timeout_ms` and 2 s. Unfinished orders stay in the journal; the next
// cloud_pay_init() takes them up. May be called twice, and cloud_pay_init() may follow. Does
// nothing in the child of a fork(). Not from the callback, and not from DllMain.
int CLOUDPAY_CDECL cloud_pay_fini(void);

// The message for the last call of this thread; "" after a success. Never NULL.
//
// @return Text that the library owns, valid until the next cloud_pay_* call on this thread.
//   Don't free it. In the configured character set and language.
const char *CLOUDPAY_CDECL cloud_pay_get_errmsg(void);

// The same text as cloud_pay_get_errmsg(), copied into the caller's buffer.
//
// @param out Receives the text. @param length Its size in bytes, NUL included; 1024 always
//   do.
// @return 0 copied; -8 buffer too small. Doesn't change the message.
//
// # Safety
// `out` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_copy_errmsg(char *out, int length);

// The version of the library, "1.0.0" for example. Static text: don't free it.
const char *CLOUDPAY_CDECL cloud_pay_version(void);

// 门店查询: the merchant's shops, by page.
//
// @param req JSON: `page_num` (from 1; default 1), `page_size` (1 to 1000; default 10),
//   `out_shop_id` (one shop only).
// @param shop_info Receives the gateway's `query_shop_info`: `total_count`, `shop_infos`.
// @param length Its size in bytes; 65536 recommended.
// @return 0 answered; -1 the gateway refused; -2 unknown, call again; -3 error, or epay123, which
//   doesn't offer this; -8 buffer.
//
// Synchronous: at most `request_timeout_ms` for each domain.
// Source: cloud-pay HTTPS API, /cpay/query_sub_mch_shop_info.
//
// # Safety
// `req` is NULL or NUL-terminated; `shop_info` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_query_shop_info(const char *req, char *shop_info, int length);

// The sub-merchant, with the prefix that its order numbers need (`cloud_cashier_id`). Not in the
// original library.
//
// @param req JSON: `{}`.
// @param out Receives the gateway's `query_sub_mch_info`: `total_count`, `sub_mch_infos`.
// @param length Its size in bytes; 65536 recommended.
// @return As cloud_pay_query_shop_info().
//
// Synchronous: at most `request_timeout_ms` for each domain.
// Source: cloud-pay HTTPS API, /cpay/sdk_query_sub_mch_info.
//
// # Safety
// `req` is NULL or NUL-terminated; `out` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_query_sub_mch_info(const char *req, char *out, int length);

// 交易明细: orders and refunds, newest first, by page; or all of a period into a file.
//
// @param req JSON: `pay_platform` (1 WeChat, 2 Alipay; default both), `query_order_type`
//   (1 payments, 2 refunds, 3 both; default 3), `query_cashier_type` (1 the sub-merchant, 2 this
//   shop, 3 this cashier; default 1), `out_shop_id`, `staff_id`, `device_id`, `start_time`
//   (seconds since 1970; default 0), `end_time` (default now), `page_num` (from 1; default 1),
//   `page_size` (1 to 1000; default 10, with `save_to` 100). With `save_to` (a path, at most 4096
//   characters) every page from `page_num` on is fetched and written there, one JSON object a
//   line in UTF-8; the file appears when it is complete.
// @param order_details Receives the gateway's `order_detail_query`: `total_count`,
//   `order_details`. With `save_to`: `total_count`, `saved_count`.
// @param length Its size in bytes; 2048 for each order recommended.
// @return As cloud_pay_query_shop_info().
//
// Synchronous: at most `request_timeout_ms` for each domain, for each page.
// Source: cloud-pay HTTPS API, /cpay/client_order_detail.
//
// # Safety
// `req` is NULL or NUL-terminated; `order_details` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_order_detail(const char *req, char *order_details, int length);

// Checks a payment or refund notification and gives its content. Not in the original library.
//
// @param body The HTTP body exactly as it came, UTF-8 whatever `charset` says.
// @param content Receives the notification's whole content, JSON: `order_content` of a payment or
//   `refund_order_content` of a refund, `pay_mch_key`, `order_client`, `nonce_str`.
// @param length Its size in bytes; 16384 recommended.
// @return 0 authentic; -1 not to be believed: answer it with a status other than 0; -3 error;
//   -8 buffer too small.
//
// No network. Source: cloud-pay HTTPS API, callbacks.
//
// # Safety
// `body` is NULL or NUL-terminated; `content` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_verify_notify(const char *body, char *content, int length);

// The signed answer to a notification. Not in the original library.
//
// @param status 0: taken, don't send it again. Others: send it again later.
// @param description For people; NULL for none.
// @param out Receives the HTTP body to answer with (application/json), pure ASCII: send it as it
//   is. @param length Its size in bytes; 1024 and six for each character of `description`.
// @return 0; -3 error; -8 buffer too small.
//
// No network. Source: cloud-pay HTTPS API, callbacks.
//
// # Safety
// `description` is NULL or NUL-terminated; `out` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_notify_reply(int status, const char *description, char *out, int length);

// 刷卡支付: pays with the code that the cashier scanned from the customer's phone.
//
// @param req JSON: `out_trade_no`* (at most 32 characters), `author_code`* (at most 128),
//   `total_fee`* (fen, 1 to 2147483647), `fee_type` ("CNY"), `body` (128), `attach` (127),
//   `goods_tag` (32), `limit_pay` (32), `detail` (6000, object or text), `remark` (127),
//   `client_flow_id` (64), `pay_platform` (1 WeChat, 2 Alipay; default: from the code's prefix),
//   `sub_pay_platform`, and Alipay's `discountable_amount` and `undiscountable_amount` (fen),
//   `product_code` (128), `royalty_info` and `extend_params` (256, object or text),
//   `disable_pay_channels` (128), `staff_id` (64; this payment's cashier). (* required)
//   Numbers may stand for text: their digits are kept as they were written.
// @param resp Receives {"pay_platform":1}. NULL with length 0 if it isn't wanted.
// @param length Size of `resp` in bytes, at least 64.
// @return 0 accepted: ask cloud_pay_query_order() or wait with cloud_pay_wait_order();
//   -1 not accepted: nothing was sent, never cancel on this; -3 error, nothing was sent;
//   -8 buffer too small, nothing was sent.
//
// Asynchronous: returns when the order is safely in the journal (one commit to disk), without
// any network on this thread. After 0 the order is never forgotten, whatever happens to the
// process. The same number with the same content again is the same order: 0, one charge.
// Source: cloud-pay HTTPS API, /cpay/micro_pay; Jeepay, /api/pay/unifiedOrder.
//
// # Safety
// `req` is NULL or NUL-terminated; `resp` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_micro_pay(const char *req, char *resp, int length);

// 扫码支付: orders a QR code for the customer to scan.
//
// @param req JSON: as for cloud_pay_micro_pay() without `author_code`; `pay_platform`* is
//   required; also `product_id` (at most 32 characters) and `time_expire` (seconds since 1970).
// @return 0 accepted: the code comes from cloud_pay_query_order() as `code_url` with -5;
//   -1 not accepted, nothing was sent; -3 error, nothing was sent.
//
// Asynchronous, as cloud_pay_micro_pay(). Source: cloud-pay HTTPS API, /cpay/scan_code_pay;
// Jeepay, /api/pay/unifiedOrder.
//
// # Safety
// `req` is NULL or NUL-terminated.
int CLOUDPAY_CDECL cloud_pay_scan_code_pay(const char *req);

// 查询订单: the state of an order.
//
// @param req JSON: `out_trade_no`*; `trade_type` (1 micro_pay, 2 scan_code_pay) and
//   `pay_platform` are optional: 0 and "" are as good as nothing.
// @param order Receives the order JSON. @param length Its size in bytes; 4096 recommended.
//   What doesn't fit is left out, with `"shortened":true`; 512 bytes hold every verdict.
// @return 0 paid; -1 payment failed; -2 not known yet, query again; -3 not a payment result,
//   an error; -4 refunded, reversed or closed; -5 QR code ready, `code_url`; -6 re-entry: the
//   number belongs to another payment, never cancel it; -7 no such order; -8 buffer.
//
// Synchronous: at most `request_timeout_ms` for each domain, and as long once more where a slow
// disk has to keep the result first; at once while the payment is being sent. An order that only
// an epay123 gateway knows, and calls unpaid, is asked for again after 5 s. Source: cloud-pay HTTPS
// API, /cpay/query_order; Jeepay, /api/pay/query.
//
// # Safety
// `req` is NULL or NUL-terminated; `order` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_query_order(const char *req, char *order, int length);

// Waits until an order is final or the time is over. Not in the original library; what a
// register would otherwise write as a loop of queries and sleeps.
//
// @param req As for cloud_pay_query_order(). With `"until":"code_ready"` also returns as soon as
//   the QR code is ready.
// @param order As for cloud_pay_query_order(). @param length As for cloud_pay_query_order().
// @param timeout_ms The longest wait in milliseconds, at most 86400000; 0 only looks, here and
//   not at the gateway.
// @return As cloud_pay_query_order(), for the state at that moment; -3 when timeout_ms < 0.
//
// Blocks for at most `timeout_ms`, without any network on this thread. Only an order that the
// library doesn't ask for by itself (one that this register never made, or that was unknown for a
// day) is queried here, every 3 s; the last query may begin just before the time is over, and
// takes what cloud_pay_query_order() takes. cloud_pay_fini() ends the wait.
//
// # Safety
// As for cloud_pay_query_order().
int CLOUDPAY_CDECL cloud_pay_wait_order(const char *req, char *order, int length, int timeout_ms);

// 撤单 / 关单: takes an order back.
//
// @param req JSON: `out_trade_no`*; `trade_type` 1 reverses a micro_pay order, 2 closes a
//   scan_code_pay order; it and `pay_platform` default to what the journal knows.
// @return 0 done: nothing is or stays charged; -1 refused; -2 unknown: query, then cancel again;
//   -3 error; -6 the number belongs to another payment: refused here, nothing was sent.
//
// Synchronous: at most `reverse_after_ms` + 4 x `request_timeout_ms`, and once more
// `request_timeout_ms` for each domain when a query is then under way. A reverse is sent no sooner
// than `reverse_after_ms` after the payment, after a fresh query, and proven by another one. A
// paid micro_pay is reversed (the customer gets the money back); a paid QR order is refused:
// refund it. epay123 has no reverse: there every paid order is refused, every other one closed.
// Source: cloud-pay HTTPS API, /cpay/reverse and /cpay/close_order; Jeepay, /api/pay/close.
//
// # Safety
// `req` is NULL or NUL-terminated.
int CLOUDPAY_CDECL cloud_pay_cancel_order(const char *req);

// 关单: closes an order that waits for a customer to scan its QR code.
//
// @param req JSON: `out_trade_no`*; `pay_platform` defaults to what the journal knows.
// @return As cloud_pay_cancel_order().
//
// Not in the original library, where it is cloud_pay_cancel_order() with `trade_type` 2.
// Synchronous, as that one. Source: cloud-pay HTTPS API, /cpay/close_order; Jeepay,
// /api/pay/close.
//
// # Safety
// `req` is NULL or NUL-terminated.
int CLOUDPAY_CDECL cloud_pay_close_order(const char *req);

// 申请退款: asks for a refund.
//
// @param req JSON: `out_trade_no`*, `total_fee`* (the order's, fen), `refund_fee`* (fen, 1 to
//   total_fee), `refund_fee_type` ("CNY"), `refund_reason` (at most 255 characters),
//   `out_refund_no` (32; default: the order number), `pay_platform` (default: the journal's),
//   `staff_id` (64; this refund's cashier).
// @return 0 accepted, not yet refunded: ask cloud_pay_query_refund(); -1 refused; -2 unknown: the
//   same call again, with the same number, is safe; another number is not. -3 error.
//
// Synchronous: at most `request_timeout_ms` for each domain, twice (an unsigned refusal, and one
// of a repeated call, is confirmed by a query); after a reverse without a result two queries, 5 s
// apart, come before that.
// Refused here, before anything is sent: a number that stands for another refund, more than is
// left of the order (refunds without a result count), an order that was or is being reversed.
// Source: cloud-pay HTTPS API, /cpay/refund, signed with `private_key` when there is one; Jeepay,
// /api/refund/refundOrder.
//
// # Safety
// `req` is NULL or NUL-terminated.
int CLOUDPAY_CDECL cloud_pay_refund(const char *req);

// 退款查询: the state of a refund.
//
// @param req JSON: `out_refund_no`, or `out_trade_no` for all refunds of an order; `pay_platform`
//   (default: the journal's).
// @param refund_order Receives JSON: `out_refund_no`, `out_trade_no`, `refund_id`, `state`
//   (processing, success, failed, manual, closed, unknown), `refund_fee` (fen), `evidence`,
//   `refund_order_content`. For all of an order: `total_count` and `refunds`, a list of those; and
//   beside it the keys of the refund that has the order's number, or of the last one.
//   @param length Its size in bytes; 4096 recommended.
// @return 0 answered, also that an order has none; -1 refused, or no such refund; -2 unknown;
//   -3 error; -8 buffer.
//
// Synchronous: at most `request_timeout_ms` for each domain. epay123 has no list: there it is the
// journal's, with the newest one that has no result asked about.
// Source: cloud-pay HTTPS API, /cpay/query_refund_order; Jeepay, /api/refund/query.
//
// # Safety
// `req` is NULL or NUL-terminated; `refund_order` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_query_refund(const char *req, char *refund_order, int length);

// Sets the function that is called with news about orders, or clears it.
//
// @param cb The function; NULL clears. After clearing returns, no call is under way (unless the
//   callback itself cleared: then it ends with that call).
// @param user Handed to the function untouched.
// @return 0; -3 before cloud_pay_init(). cloud_pay_fini() clears it.
//
// Waits for a call of the old function that is under way.
//
// # Safety
// `cb` stays callable, and `user` valid for it, until it is cleared or cloud_pay_fini() returns.
int CLOUDPAY_CDECL cloud_pay_set_callback(cloud_pay_callback cb, void *user);

// Orders that the register should look at: what to show after a power cut, and now and then.
//
// @param out Receives {"total_count":n,"orders":[…]}: order JSONs without `order_content`, oldest
//   first, as many as fit, with `"shortened":true` when there are more. Each has `why`:
//   "unknown" (no final result yet), "untold" (it ended and the register hasn't heard of it),
//   "late" (paid after it was told as ended), "reopened" (told as failed, and found under way
//   after that), "refund_open" (a refund of it has no result); and `since_ms`, milliseconds since
//   1970. An order leaves the list when the register has queried its final state; that its
//   callback was called is not enough.
// @param length Its size in bytes; about 500 for each order.
// @return 0; -3 error; -8 when not even the empty list fits: the message names the size.
//
// No network.
//
// # Safety
// `out` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_pending_orders(char *out, int length);

// A new order number: unique across registers, and never going back whatever the clock does.
//
// @param out Receives the number, not JSON: `order_prefix` (the first of a list), YYMMDDhhmmss in
//   China's time, ten random letters and digits. @param length At least 33 bytes.
// @return 0; -3 error, also when `order_prefix` has more than 10 characters; -8 buffer too small.
//
// Blocks for one commit of the journal.
//
// # Safety
// `out` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_next_trade_no(char *out, int length);

// The first two digits of payment codes, by platform.
//
// @param resp Receives {"wx_author_code_prefix":["10",…],"ali_author_code_prefix":["25",…],
//   "author_code_prefix":[{"1":[…]},{"2":[…]}]}. @param length Its size in bytes; 256 do.
// @return 0; -3 before cloud_pay_init(); -8 buffer too small.
//
// No network.
//
// # Safety
// `resp` is NULL or points to `length` writable bytes.
int CLOUDPAY_CDECL cloud_pay_security_author_code_prefix(char *resp, int length);

// Not offered by this library: returns -3. Exists so that registers built against the original
// library load.
int CLOUDPAY_CDECL cloud_pay_security_login(const char *req, char *resp, int length);

// Not offered by this library: returns -3. Exists so that registers built against the original
// library load.
int CLOUDPAY_CDECL cloud_pay_security_login_check(const char *req, char *resp, int length);

// Not offered by this library: returns -3. Exists so that registers built against the original
// library load.
int CLOUDPAY_CDECL cloud_pay_security_init(const char *req);

// Not offered by this library: returns -3. Exists so that registers built against the original
// library load.
int CLOUDPAY_CDECL cloud_pay_security_identification(const char *req, char *resp, int length);

// Not offered by this library: returns -3. Exists so that registers built against the original
// library load.
int CLOUDPAY_CDECL cloud_pay_security_identification_check(const char *req, char *resp, int length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

// cloud_pay_callback in the calling convention of the `_std` functions.
typedef void (CLOUDPAY_STDCALL *cloud_pay_callback_std)(const char *out_trade_no, int code, const char *order, void *user);

#ifdef __cplusplus
extern "C" {
#endif

// 交易统计: sums over orders and refunds. __stdcall on 32-bit Windows, as in the original library.
//
// @param req JSON: as for cloud_pay_order_detail() without pages and `save_to`; `out_shop_id` may
//   be a list; also `sub_pay_platforms` (list of 100 WeChat, 200 Alipay), `trade_type`,
//   `pay_time_type`, `refund_time_type`, `time_filter`.
// @param order_stat Receives the gateway's `query_order_list_overview`: `total_count`,
//   `overviews` (amounts in fen; counts and amounts can be negative).
// @param length Its size in bytes; 65536 recommended.
// @return As cloud_pay_query_shop_info().
//
// Synchronous: at most `request_timeout_ms` for each domain.
// Source: cloud-pay HTTPS API, /cpay/query_order_list_overview.
int CLOUDPAY_STDCALL cloud_pay_order_stat(const char *req, char *order_stat, int length);

// Every function once more, __stdcall on 32-bit Windows, for languages that can call nothing else
// (VB6, PowerBuilder, most of Delphi). They do what their namesakes do. C and C++ don't need them.
int CLOUDPAY_STDCALL cloud_pay_init_std(const char *conf);
int CLOUDPAY_STDCALL cloud_pay_fini_std(void);
const char *CLOUDPAY_STDCALL cloud_pay_get_errmsg_std(void);
int CLOUDPAY_STDCALL cloud_pay_copy_errmsg_std(char *out, int length);
const char *CLOUDPAY_STDCALL cloud_pay_version_std(void);
int CLOUDPAY_STDCALL cloud_pay_query_shop_info_std(const char *req, char *shop_info, int length);
int CLOUDPAY_STDCALL cloud_pay_query_sub_mch_info_std(const char *req, char *out, int length);
int CLOUDPAY_STDCALL cloud_pay_order_detail_std(const char *req, char *order_details, int length);
int CLOUDPAY_STDCALL cloud_pay_verify_notify_std(const char *body, char *content, int length);
int CLOUDPAY_STDCALL cloud_pay_notify_reply_std(int status, const char *description, char *out, int length);
int CLOUDPAY_STDCALL cloud_pay_micro_pay_std(const char *req, char *resp, int length);
int CLOUDPAY_STDCALL cloud_pay_scan_code_pay_std(const char *req);
int CLOUDPAY_STDCALL cloud_pay_query_order_std(const char *req, char *order, int length);
int CLOUDPAY_STDCALL cloud_pay_wait_order_std(const char *req, char *order, int length, int timeout_ms);
int CLOUDPAY_STDCALL cloud_pay_cancel_order_std(const char *req);
int CLOUDPAY_STDCALL cloud_pay_close_order_std(const char *req);
int CLOUDPAY_STDCALL cloud_pay_refund_std(const char *req);
int CLOUDPAY_STDCALL cloud_pay_query_refund_std(const char *req, char *refund_order, int length);
int CLOUDPAY_STDCALL cloud_pay_set_callback_std(cloud_pay_callback_std cb, void *user);
int CLOUDPAY_STDCALL cloud_pay_pending_orders_std(char *out, int length);
int CLOUDPAY_STDCALL cloud_pay_next_trade_no_std(char *out, int length);
int CLOUDPAY_STDCALL cloud_pay_security_author_code_prefix_std(char *resp, int length);
int CLOUDPAY_STDCALL cloud_pay_security_login_std(const char *req, char *resp, int length);
int CLOUDPAY_STDCALL cloud_pay_security_login_check_std(const char *req, char *resp, int length);
int CLOUDPAY_STDCALL cloud_pay_security_init_std(const char *req);
int CLOUDPAY_STDCALL cloud_pay_security_identification_std(const char *req, char *resp, int length);
int CLOUDPAY_STDCALL cloud_pay_security_identification_check_std(const char *req, char *resp, int length);
int CLOUDPAY_STDCALL cloud_pay_order_stat_std(const char *req, char *order_stat, int length);

#ifdef __cplusplus
}
#endif

#endif /* CLOUDPAY_H */
