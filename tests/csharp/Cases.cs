// What the C# binding promises, one case a process:   Cases NAME CONF.json PREFIX
//
// PREFIX begins the order numbers and payment codes that nobody else uses.

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using CloudPay;

internal static class Cases
{
    private const int Patience = 50000;
    private static string prefix;
    private static int count;

    private static int Main(string[] arguments)
    {
        string conf = File.ReadAllText(arguments[1]);
        prefix = arguments[2];
        switch (arguments[0])
        {
            case "everything": Everything(conf); break;
            case "long": Long(conf); break;
            case "parallel": Parallel(conf); break;
            case "handlers": Handlers(conf); break;
            case "dispose": DisposeWhileWaiting(conf); break;
            case "refused": Refused(conf); break;
            default: return 2;
        }
        Console.WriteLine("all is well");
        return 0;
    }

    private static void Everything(string conf)
    {
        using (var till = new CloudPayClient(conf))
        {
            Expect(CloudPayClient.Version.Split('.').Length == 3, CloudPayClient.Version);
            Expect(till.AuthorCodePrefix().Json.Contains("\"25\""), "prefixes");
            string no = Number();
            Reply accepted = till.MicroPay(Payment(no, "001", "\"body\":\"龙井茶 二两\",\"attach\":\"店员：王\\u5c0f明\""));
            Expect(accepted.Json == "{\"pay_platform\":1}", accepted.Json);
            Reply order = till.WaitOrder(Asked(no), Patience);
            Expect(order.Code == 0 && order.Message == "", order.Message);
            order = till.QueryOrderAsync(Asked(no)).Result;
            Expect(order.Json.Contains("龙井茶 二两") && order.Json.Contains("店员：王小明"), order.Json);

            string refund = "{\"out_trade_no\":\"" + no + "\",\"total_fee\":100,\"refund_fee\":100}";
            Expect(till.RefundAsync(refund).Result.Code == 0, "refund");
            Until("the refund", () => till.QueryRefundAsync(Asked(no)).Result.Json.Contains("\"state\":\"success\""));
            Expect(till.QueryRefund(Asked(no)).Code == 0, "query_refund");
            Expect(till.QueryOrder(Asked(no)).Code == -4, "refunded");

            string code = Number();
            till.ScanCodePay("{\"out_trade_no\":\"" + code + "\",\"total_fee\":100,\"pay_platform\":1,\"body\":\"茶\",\"product_id\":\"p\"}");
            Reply ready = till.WaitOrderAsync("{\"out_trade_no\":\"" + code + "\",\"until\":\"code_ready\"}", Patience).Result;
            Expect(ready.Code == -5 && ready.Json.Contains("code_url"), ready.Json);
            Expect(till.CloseOrderAsync(Asked(code)).Result.Code == 0, "close");
            string waiting = Number();
            till.MicroPay(Payment(waiting, "002", ""));
            Until("the payment's arrival", () => till.QueryOrder(Asked(waiting)).Json.Contains("order_content"));
            Expect(till.CancelOrderAsync(Asked(waiting)).Result.Code == 0, "cancel");
            Expect(till.QueryOrder(Asked(waiting)).Code == -4, "reversed");

            foreach (Reply answer in new[]
            {
                till.QueryShopInfo("{}"), till.QueryShopInfoAsync("{}").Result,
                till.QuerySubMchInfo("{}"), till.QuerySubMchInfoAsync("{}").Result,
                till.OrderDetail("{}"), till.OrderDetailAsync("{}").Result,
                till.OrderStat("{}"), till.OrderStatAsync("{}").Result,
                till.NotifyReply(0, null), till.NotifyReply(1, "稍后再发"),
            })
                Expect(answer.Code == 0 && answer.Json.StartsWith("{"), answer.Json);
            Expect(Throws(() => till.VerifyNotify("{}")).Code != 0, "a forged notification");
            Expect(till.PendingOrders().Json.StartsWith("{\"total_count\":0"), till.PendingOrders().Json);
        }
        // Again in the same process.
        using (var till = new CloudPayClient(conf))
            Expect(till.NextTradeNo().StartsWith(prefix.Substring(0, 4)), "number");
    }

    // Answers that are longer than the first buffer.
    private static void Long(string conf)
    {
        using (var till = new CloudPayClient(conf))
        {
            string detail = string.Concat(Enumerable.Repeat("茶叶", 2900));
            var numbers = new List<string>();
            for (int i = 0; i < 30; i++)
            {
                numbers.Add(Number());
                till.MicroPay(Payment(numbers[i], "002", "\"detail\":\"" + detail + "\""));
            }
            Reply pending = till.PendingOrders();
            Expect(pending.Json.Length > 4096 && numbers.All(no => pending.Json.Contains(no)), pending.Json);
            Until("the payment's arrival", () => till.QueryOrder(Asked(numbers[0])).Json.Contains("order_content"));
            Reply order = till.QueryOrder(Asked(numbers[0]));
            Expect(order.Json.Contains(detail) && !order.Json.Contains("\"shortened\""), order.Json);
            string paid = Number();
            till.MicroPay(Payment(paid, "000", ""));
            Expect(till.WaitOrder(Asked(paid), Patience).Code == 0, "paid");
            for (int i = 0; i < 60; i++)
            {
                string no = Number();
                till.MicroPay(Payment(no, "000", "\"detail\":\"" + detail + "\""));
                Expect(till.WaitOrder(Asked(no), Patience).Code == 0, "paid");
            }
            Reply list = till.OrderDetail("{\"page_size\":100}");
            Expect(Encoding.UTF8.GetByteCount(list.Json) > 64 * 1024, "list of " + list.Json.Length);
        }
    }

    // 64 payments at the same time, with news from the library's threads, while the collector does its worst.
    private static void Parallel(string conf)
    {
        using (var till = new CloudPayClient(conf))
        {
            var heard = new HashSet<string>();
            till.OrderChanged += (sender, news) =>
            {
                GC.Collect();
                lock (heard)
                {
                    if (news.Code == 0 && news.Json.Contains("\"paid\""))
                        heard.Add(news.TradeNo);
                    Monitor.Pulse(heard);
                }
            };
            bool done = false;
            var collector = new Thread(() =>
            {
                while (!Volatile.Read(ref done))
                    GC.Collect();
            });
            collector.Start();
            var numbers = Enumerable.Range(0, 64).Select(i => Number()).ToList();
            Task<Reply>[] waits = numbers.Select(no => Task.Factory.StartNew(() =>
            {
                till.MicroPay(Payment(no, "000", ""));
                return till.WaitOrderAsync(Asked(no), Patience);
            }).Unwrap()).ToArray();
            Task.WaitAll(waits);
            Expect(waits.All(wait => wait.Result.Code == 0), "64 paid");
            lock (heard)
                while (heard.Count < 64)
                    Expect(Monitor.Wait(heard, Patience), "news of " + heard.Count);
            Volatile.Write(ref done, true);
            collector.Join();
            Expect(numbers.All(heard.Contains), "news of each");
        }
    }

    // What a handler throws ends there, and so does what it may not do.
    private static void Handlers(string conf)
    {
        using (var till = new CloudPayClient(conf))
        {
            var failures = new List<Exception>();
            int news = 0;
            till.HandlerFailed += (sender, failure) =>
            {
                lock (failures)
                {
                    failures.Add((Exception)failure.ExceptionObject);
                    Monitor.Pulse(failures);
                }
                throw new InvalidOperationException("again");
            };
            till.OrderChanged += (sender, order) =>
            {
                if (++news == 1)
                    throw new ApplicationException("from a handler");
                till.Dispose();
            };
            foreach (int i in new[] { 1, 2 })
            {
                string no = Number();
                till.MicroPay(Payment(no, "000", ""));
                Expect(till.WaitOrder(Asked(no), Patience).Code == 0, "paid");
                lock (failures)
                    while (failures.Count < i)
                        Expect(Monitor.Wait(failures, Patience), "failure " + i);
            }
            Expect(failures[0] is ApplicationException, failures[0].ToString());
            var refused = failures[1] as CloudPayException;
            Expect(refused != null && refused.Code == -3, failures[1].ToString());
        }
    }

    private static void DisposeWhileWaiting(string conf)
    {
        var till = new CloudPayClient(conf);
        string no = Number();
        till.MicroPay(Payment(no, "002", ""));
        Until("the payment's arrival", () => till.QueryOrder(Asked(no)).Json.Contains("order_content"));
        Task<Reply>[] waits = Enumerable.Range(0, 8).Select(i => till.WaitOrderAsync(Asked(no), 86400000)).ToArray();
        int news = 0;
        till.OrderChanged += (sender, order) => Interlocked.Increment(ref news);
        till.Dispose();
        int before = news;
        foreach (Task<Reply> wait in waits)
        {
            try
            {
                Expect(wait.Result.Code == -2, "an order without a result: " + wait.Result.Code);
            }
            catch (AggregateException error)
            {
                // The wait began after the end.
                Exception inner = error.InnerException;
                Expect(inner is ObjectDisposedException || inner is CloudPayException, inner.ToString());
            }
        }
        Expect(news == before, "news after the end");
        till.Dispose();
        try
        {
            till.QueryOrder(Asked(no));
            throw new Exception("a call after the end");
        }
        catch (ObjectDisposedException)
        {
        }
    }

    private static void Refused(string conf)
    {
        CloudPayException wrong = Throws(() => new CloudPayClient("{\"trade_conf\":{},\"common_conf\":{\"language\":\"zh\"}}"));
        Expect(wrong.Code == -1 && wrong.Message.Contains("trade_conf.out_mch_id") && wrong.Message.Any(c => c > 0x4e00), wrong.Message);
        try
        {
            new CloudPayClient(conf.Replace("\"common_conf\":{", "\"common_conf\":{\"charset\":\"gbk\","));
            throw new Exception("gbk");
        }
        catch (ArgumentException error)
        {
            Expect(error.Message.Contains("charset"), error.Message);
        }
        using (var till = new CloudPayClient(conf))
        {
            try
            {
                new CloudPayClient(conf);
                throw new Exception("two clients");
            }
            catch (InvalidOperationException)
            {
            }
            string no = Number();
            CloudPayException refused = Throws(() => till.MicroPay("{\"out_trade_no\":\"" + no + "\",\"author_code\":\"134567890123456000\",\"total_fee\":0}"));
            Expect(refused.Code == -1 && refused.Message.Contains("total_fee"), refused.Message);
            Expect(till.QueryOrder("{\"out_trade_no\":\"" + no + "\",\"trade_type\":1,\"pay_platform\":1}").Code == -7, "no such order");
            // The verdict that a payment failed is none.
            till.MicroPay(Payment(no, "004", ""));
            Reply failed = till.WaitOrder(Asked(no), Patience);
            Expect(failed.Code == -1 && failed.Message != "", failed.Message);
            Expect(till.WaitOrder(Asked(no), 0).Code == -1, "the same again");
            Expect(Throws(() => till.WaitOrder(Asked(no), -1)).Code == -3, "a negative time");
            try
            {
                till.QueryOrder(null);
                throw new Exception("null");
            }
            catch (ArgumentNullException)
            {
            }
        }
    }

    private static string Number()
    {
        return prefix + Interlocked.Increment(ref count).ToString("D8");
    }

    private static string Asked(string no)
    {
        return "{\"out_trade_no\":\"" + no + "\"}";
    }

    private static string Payment(string no, string scenario, string more)
    {
        string code = "13" + no.Substring(no.Length - 8).PadLeft(13, '0') + scenario;
        return "{\"out_trade_no\":\"" + no + "\",\"author_code\":\"" + code + "\",\"total_fee\":100" + (more == "" ? "" : "," + more) + "}";
    }

    private static CloudPayException Throws(Action call)
    {
        try
        {
            call();
        }
        catch (CloudPayException error)
        {
            return error;
        }
        throw new Exception("nothing was thrown");
    }

    private static void Until(string what, Func<bool> asked)
    {
        for (int tries = 0; !asked(); tries++)
        {
            Expect(tries < 500, "it never came: " + what);
            Thread.Sleep(100);
        }
    }

    private static void Expect(bool right, string what)
    {
        if (!right)
            throw new Exception(what);
    }
}
