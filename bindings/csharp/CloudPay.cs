// cloudpay for C#: WeChat Pay and Alipay for cash registers. MIT OR Apache-2.0.
//
// One file for C# 5 and newer, .NET Framework 4 and newer, .NET and Mono. Put cloudpay.dll (on Linux
// libcloudpay.so) beside the program: 32-bit for x86, 64-bit for x64. Requests and answers are the
// JSON texts that cloudpay.h documents; amounts are in fen.

using System;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

namespace CloudPay
{
    /// <summary>What a call answered.</summary>
    public sealed class Reply
    {
        internal Reply(int code, string json, string message)
        {
            Code = code;
            Json = json;
            Message = message;
        }

        /// <summary>The code, as cloudpay.h lists it for the function. Of an order: 0 paid; -1 failed, not charged;
        /// -2 not known yet, ask again; -4 refunded, reversed or closed; -5 QR code ready; -6 the number is another
        /// payment's, never cancel it; -7 no such order.</summary>
        public int Code { get; private set; }

        /// <summary>The answer's JSON, or "" where the function has none.</summary>
        public string Json { get; private set; }

        /// <summary>The library's reason for the code, or "".</summary>
        public string Message { get; private set; }
    }

    /// <summary>A call was refused or went wrong. The verdict about a payment is never an exception.</summary>
    public sealed class CloudPayException : Exception
    {
        internal CloudPayException(int code, string message)
            : base(message)
        {
            Code = code;
        }

        /// <summary>-1 refused or not accepted; -3 an error, which says nothing about any payment; -8 the answer is longer
        /// than 64 MiB.</summary>
        public int Code { get; private set; }
    }

    /// <summary>News about an order.</summary>
    public sealed class OrderNews : EventArgs
    {
        internal OrderNews(string tradeNo, int code, string json)
        {
            TradeNo = tradeNo;
            Code = code;
            Json = json;
        }

        /// <summary>The order number.</summary>
        public string TradeNo { get; private set; }

        /// <summary>What <see cref="CloudPayClient.QueryOrder"/> would answer.</summary>
        public int Code { get; private set; }

        /// <summary>The order JSON.</summary>
        public string Json { get; private set; }
    }

    /// <summary>
    /// The library, running. One at a time in a process. Any thread may call anything at any time; methods block as long
    /// as cloudpay.h says of their function, and those that may block for seconds have a version that returns a Task,
    /// which waits on a thread of its own.
    /// </summary>
    /// <remarks>
    /// Methods throw <see cref="CloudPayException"/> for -3 and -8, and for -1 where that means refused or not accepted;
    /// <see cref="QueryOrder"/> and <see cref="WaitOrder"/> return it, because there it is the verdict that the payment
    /// failed. Everything else, -2 (not known) above all, is in <see cref="Reply.Code"/>.
    /// </remarks>
    public sealed class CloudPayClient : IDisposable
    {
        // An order with all that a gateway says of it; a longer one says "shortened":true.
        private const int OrderSize = 64 * 1024;
        private const int ListSize = 64 * 1024;
        private const int LargestSize = 64 * 1024 * 1024;
        private const int TooSmall = -8;

        private static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);
        private static readonly object Lifecycle = new object();
        private static CloudPayClient current;

        // The library calls this for as long as the process lives: never collected.
        private static readonly Native.Callback OnNews = Told;

        private volatile bool disposed;

        /// <summary>Starts the library. Does no network; takes up what an earlier process left unfinished.</summary>
        /// <param name="configuration">CloudPayConf as JSON. Texts cross as UTF-8: a charset of "gbk" is refused here.</param>
        /// <exception cref="CloudPayException">-1: the configuration or the journal was refused; the message names the key.</exception>
        /// <exception cref="InvalidOperationException">Another client is running in this process.</exception>
        public CloudPayClient(string configuration)
        {
            byte[] text = Encode(configuration, "configuration");
            if (Regex.IsMatch(configuration, "\"charset\"\\s*:\\s*\"gbk\"", RegexOptions.IgnoreCase))
                throw new ArgumentException("common_conf.charset: \"gbk\" is for other languages; leave it out", "configuration");
            lock (Lifecycle)
            {
                if (current != null)
                    throw new InvalidOperationException("a CloudPayClient is running in this process: dispose it first");
                Check(Native.cloud_pay_init(text));
                // First: no news may find nobody.
                current = this;
                Check(Native.cloud_pay_set_callback(OnNews, IntPtr.Zero));
            }
        }

        /// <summary>An order became final, its QR code is ready, or a late payment came in. Comes on a thread of the
        /// library, one call at a time: return soon. May call every method but Dispose.</summary>
        public event EventHandler<OrderNews> OrderChanged;

        /// <summary>A handler of <see cref="OrderChanged"/> threw this. Without a handler here it is dropped; it never
        /// reaches the library. The news counts as told.</summary>
        public event EventHandler<UnhandledExceptionEventArgs> HandlerFailed;

        /// <summary>The library's version.</summary>
        public static string Version
        {
            get { return Marshal.PtrToStringAnsi(Native.cloud_pay_version()); }
        }

        /// <summary>Stops the library: ends waits, lets requests under way end (at most fini_timeout_ms), joins its threads. No
        /// event comes after it returns. Unfinished orders stay in the journal for the next start.</summary>
        /// <exception cref="CloudPayException">-3: called from a handler of <see cref="OrderChanged"/>; nothing was stopped.</exception>
        public void Dispose()
        {
            lock (Lifecycle)
            {
                if (disposed)
                    return;
                Check(Native.cloud_pay_fini());
                disposed = true;
                current = null;
            }
        }

        /// <summary>刷卡支付: accepts a payment with the code on the customer's phone. Asynchronous: the result comes from
        /// <see cref="WaitOrder"/>, <see cref="QueryOrder"/> or <see cref="OrderChanged"/>.</summary>
        /// <exception cref="CloudPayException">Not accepted; nothing was sent, and there is nothing to cancel.</exception>
        public Reply MicroPay(string request)
        {
            byte[] text = Request(request);
            // Never repeated for its buffer's sake: 64 bytes always do.
            byte[] answer = new byte[64];
            int code = Native.cloud_pay_micro_pay(text, answer, answer.Length);
            return Checked(code, answer, false);
        }

        /// <summary>扫码支付: orders a QR code for the customer to scan. Asynchronous, as <see cref="MicroPay"/>.</summary>
        /// <exception cref="CloudPayException">Not accepted; nothing was sent.</exception>
        public Reply ScanCodePay(string request)
        {
            return Simple(Native.cloud_pay_scan_code_pay, request);
        }

        /// <summary>查询订单: asks the gateway for an order.</summary>
        public Reply QueryOrder(string request)
        {
            return Ask(Native.cloud_pay_query_order, request, OrderSize, true);
        }

        /// <summary><see cref="QueryOrder"/> on a thread of its own.</summary>
        public Task<Reply> QueryOrderAsync(string request)
        {
            return OnOwnThread(() => QueryOrder(request));
        }

        /// <summary>Waits until an order is final, or for the QR code (<c>"until":"code_ready"</c>), or until the time is over.
        /// <see cref="Dispose"/> ends it.</summary>
        /// <param name="request">As for <see cref="QueryOrder"/>.</param>
        /// <param name="timeoutMs">The longest wait in milliseconds, at most 86400000.</param>
        public Reply WaitOrder(string request, int timeoutMs)
        {
            return Ask((text, answer, length) => Native.cloud_pay_wait_order(text, answer, length, timeoutMs), request,
                OrderSize, true);
        }

        /// <summary><see cref="WaitOrder"/> on a thread of its own.</summary>
        public Task<Reply> WaitOrderAsync(string request, int timeoutMs)
        {
            return OnOwnThread(() => WaitOrder(request, timeoutMs));
        }

        /// <summary>撤单, 关单: takes an order back. 0: nothing is or stays charged; -2: unknown, query, then cancel again;
        /// -6: another payment's number, nothing was sent.</summary>
        /// <exception cref="CloudPayException">-1: refused; query the order.</exception>
        public Reply CancelOrder(string request)
        {
            return Simple(Native.cloud_pay_cancel_order, request);
        }

        /// <summary><see cref="CancelOrder"/> on a thread of its own.</summary>
        public Task<Reply> CancelOrderAsync(string request)
        {
            return OnOwnThread(() => CancelOrder(request));
        }

        /// <summary>关单: as <see cref="CancelOrder"/>, for QR orders.</summary>
        /// <exception cref="CloudPayException">-1: refused; query the order.</exception>
        public Reply CloseOrder(string request)
        {
            return Simple(Native.cloud_pay_close_order, request);
        }

        /// <summary><see cref="CloseOrder"/> on a thread of its own.</summary>
        public Task<Reply> CloseOrderAsync(string request)
        {
            return OnOwnThread(() => CloseOrder(request));
        }

        /// <summary>申请退款. 0: accepted, ask <see cref="QueryRefund"/>; -2: unknown, the same call again is safe.</summary>
        /// <exception cref="CloudPayException">-1: refused.</exception>
        public Reply Refund(string request)
        {
            return Simple(Native.cloud_pay_refund, request);
        }

        /// <summary><see cref="Refund"/> on a thread of its own.</summary>
        public Task<Reply> RefundAsync(string request)
        {
            return OnOwnThread(() => Refund(request));
        }

        /// <summary>退款查询: see <c>state</c> in the answer.</summary>
        /// <exception cref="CloudPayException">-1: refused, or no such refund.</exception>
        public Reply QueryRefund(string request)
        {
            return Ask(Native.cloud_pay_query_refund, request, OrderSize, false);
        }

        /// <summary><see cref="QueryRefund"/> on a thread of its own.</summary>
        public Task<Reply> QueryRefundAsync(string request)
        {
            return OnOwnThread(() => QueryRefund(request));
        }

        /// <summary>门店查询: the merchant's shops, by page.</summary>
        public Reply QueryShopInfo(string request)
        {
            return Ask(Native.cloud_pay_query_shop_info, request, ListSize, false);
        }

        /// <summary><see cref="QueryShopInfo"/> on a thread of its own.</summary>
        public Task<Reply> QueryShopInfoAsync(string request)
        {
            return OnOwnThread(() => QueryShopInfo(request));
        }

        /// <summary>The sub-merchant, with the prefix that its order numbers need.</summary>
        public Reply QuerySubMchInfo(string request)
        {
            return Ask(Native.cloud_pay_query_sub_mch_info, request, ListSize, false);
        }

        /// <summary><see cref="QuerySubMchInfo"/> on a thread of its own.</summary>
        public Task<Reply> QuerySubMchInfoAsync(string request)
        {
            return OnOwnThread(() => QuerySubMchInfo(request));
        }

        /// <summary>交易明细: orders and refunds, by page, or all of a period into a file (<c>save_to</c>).</summary>
        public Reply OrderDetail(string request)
        {
            return Ask(Native.cloud_pay_order_detail, request, ListSize, false);
        }

        /// <summary><see cref="OrderDetail"/> on a thread of its own.</summary>
        public Task<Reply> OrderDetailAsync(string request)
        {
            return OnOwnThread(() => OrderDetail(request));
        }

        /// <summary>交易统计: sums over orders and refunds.</summary>
        public Reply OrderStat(string request)
        {
            return Ask(Native.cloud_pay_order_stat, request, ListSize, false);
        }

        /// <summary><see cref="OrderStat"/> on a thread of its own.</summary>
        public Task<Reply> OrderStatAsync(string request)
        {
            return OnOwnThread(() => OrderStat(request));
        }

        /// <summary>Checks a payment or refund notification and gives its content. No network.</summary>
        /// <param name="body">The body of the HTTP request, as it came.</param>
        /// <exception cref="CloudPayException">-1: not authentic; believe nothing in it.</exception>
        public Reply VerifyNotify(string body)
        {
            return Ask(Native.cloud_pay_verify_notify, body, ListSize, false);
        }

        /// <summary>The signed answer to a notification: the body of an HTTP 200. No network.</summary>
        /// <param name="status">0 taken; anything else: send it again.</param>
        /// <param name="description">What to say about it; may be null.</param>
        public Reply NotifyReply(int status, string description)
        {
            byte[] text = description == null ? null : Request(description);
            return Grow((answer, length) => Native.cloud_pay_notify_reply(status, text, answer, length), 4096, false);
        }

        /// <summary>The orders to look at, all of them: without a final result, ended without the register having heard of
        /// it, paid late, reopened, or with a refund without a result. No network.</summary>
        public Reply PendingOrders()
        {
            for (int size = 4096; ; size *= 4)
            {
                Reply reply = Grow(Native.cloud_pay_pending_orders, size, false);
                if (!reply.Json.Contains("\"shortened\":true") || size >= LargestSize)
                    return reply;
            }
        }

        /// <summary>A new order number, unique across registers.</summary>
        public string NextTradeNo()
        {
            return Grow(Native.cloud_pay_next_trade_no, 64, false).Json;
        }

        /// <summary>Which payment codes are whose, by their first two digits. No network.</summary>
        public Reply AuthorCodePrefix()
        {
            return Grow(Native.cloud_pay_security_author_code_prefix, 1024, false);
        }

        private delegate int Call(byte[] request, byte[] answer, int length);

        private delegate int Fill(byte[] answer, int length);

        private delegate int Plain(byte[] request);

        private Reply Simple(Plain call, string request)
        {
            return Checked(call(Request(request)), null, false);
        }

        private Reply Ask(Call call, string request, int size, bool verdict)
        {
            byte[] text = Request(request);
            return Grow((answer, length) => call(text, answer, length), size, verdict);
        }

        // For calls that move no money: they are repeated with a larger buffer.
        private Reply Grow(Fill call, int size, bool verdict)
        {
            if (disposed)
                throw new ObjectDisposedException("CloudPayClient");
            for (; ; size *= 4)
            {
                byte[] answer = new byte[size];
                int code = call(answer, size);
                if (code != TooSmall || size >= LargestSize)
                    return Checked(code, answer, verdict);
            }
        }

        // The message belongs to this thread's last call: it is fetched before anything else.
        private static Reply Checked(int code, byte[] answer, bool verdict)
        {
            string message = Message();
            if (code == -3 || code == TooSmall || (code == -1 && !verdict))
                throw new CloudPayException(code, message);
            return new Reply(code, answer == null ? "" : Decode(answer), message);
        }

        private static void Check(int code)
        {
            Checked(code, null, false);
        }

        private static string Message()
        {
            for (int size = 1024; ; size *= 4)
            {
                byte[] text = new byte[size];
                if (Native.cloud_pay_copy_errmsg(text, size) != TooSmall)
                    return Decode(text);
            }
        }

        private byte[] Request(string text)
        {
            if (disposed)
                throw new ObjectDisposedException("CloudPayClient");
            return Encode(text, "request");
        }

        private static byte[] Encode(string text, string name)
        {
            if (text == null)
                throw new ArgumentNullException(name);
            if (text.IndexOf('\0') >= 0)
                throw new ArgumentException("a NUL in the text", name);
            return Utf8.GetBytes(text + "\0");
        }

        private static string Decode(byte[] text)
        {
            int end = Array.IndexOf(text, (byte)0);
            return Encoding.UTF8.GetString(text, 0, end < 0 ? text.Length : end);
        }

        private static string Decode(IntPtr text)
        {
            int length = 0;
            while (Marshal.ReadByte(text, length) != 0)
                length++;
            byte[] bytes = new byte[length];
            Marshal.Copy(text, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }

        // Waits can be many and long: threads of the pool would be missing elsewhere.
        private static Task<Reply> OnOwnThread(Func<Reply> call)
        {
            var task = new TaskCompletionSource<Reply>();
            var thread = new Thread(() =>
            {
                try
                {
                    task.SetResult(call());
                }
                catch (Exception error)
                {
                    task.SetException(error);
                }
            }, 256 * 1024);
            thread.IsBackground = true;
            thread.Name = "cloudpay task";
            thread.Start();
            return task.Task;
        }

        // Called by the library. No exception may leave it.
        private static void Told(IntPtr tradeNo, int code, IntPtr order, IntPtr user)
        {
            CloudPayClient client = null;
            try
            {
                client = current;
                EventHandler<OrderNews> handler = client == null ? null : client.OrderChanged;
                if (handler != null)
                    handler(client, new OrderNews(Decode(tradeNo), code, Decode(order)));
            }
            catch (Exception error)
            {
                try
                {
                    EventHandler<UnhandledExceptionEventArgs> failed = client == null ? null : client.HandlerFailed;
                    if (failed != null)
                        failed(client, new UnhandledExceptionEventArgs(error, false));
                }
                catch (Exception)
                {
                    // Nobody is left to be told.
                }
            }
        }

        private static class Native
        {
            private const string Library = "cloudpay";

            [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
            internal delegate void Callback(IntPtr tradeNo, int code, IntPtr order, IntPtr user);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_init(byte[] conf);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_fini();

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_copy_errmsg(byte[] answer, int length);

            // The text is the library's: as a string, .NET would free it.
            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern IntPtr cloud_pay_version();

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_query_shop_info(byte[] request, byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_query_sub_mch_info(byte[] request, byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_order_detail(byte[] request, byte[] answer, int length);

            // The one function that is __stdcall on 32-bit Windows, as in the original library.
            [DllImport(Library, CallingConvention = CallingConvention.StdCall, ExactSpelling = true)]
            internal static extern int cloud_pay_order_stat(byte[] request, byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_verify_notify(byte[] body, byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_notify_reply(int status, byte[] description, byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_micro_pay(byte[] request, byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_scan_code_pay(byte[] request);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_query_order(byte[] request, byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_wait_order(byte[] request, byte[] answer, int length, int timeoutMs);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_cancel_order(byte[] request);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_close_order(byte[] request);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_refund(byte[] request);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_query_refund(byte[] request, byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_set_callback(Callback callback, IntPtr user);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_pending_orders(byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_next_trade_no(byte[] answer, int length);

            [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
            internal static extern int cloud_pay_security_author_code_prefix(byte[] answer, int length);
        }
    }
}
