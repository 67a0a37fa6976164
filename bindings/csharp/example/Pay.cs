// A register in C#:   Pay CONF.json PAYMENT_CODE FEN [refund]
//
//   mcs -langversion:5 -out:Pay.exe Pay.cs ../CloudPay.cs     (or csc)
//
// Exit codes: 0 paid; 1 the customer was not charged; 2 nothing was done; 3 nobody knows yet.

using System;
using System.IO;
using System.Text.RegularExpressions;
using System.Threading;
using CloudPay;

internal static class Pay
{
    private static int Main(string[] arguments)
    {
        int fen;
        if (arguments.Length < 3 || !Regex.IsMatch(arguments[1], "^[0-9]{1,128}$") || !int.TryParse(arguments[2], out fen))
        {
            Console.Error.WriteLine("Pay CONF.json PAYMENT_CODE FEN [refund]");
            return 2;
        }
        try
        {
            using (var till = new CloudPayClient(File.ReadAllText(arguments[0])))
            {
                string no = till.NextTradeNo();
                till.MicroPay("{\"out_trade_no\":\"" + no + "\",\"author_code\":\"" + arguments[1] + "\",\"total_fee\":" + fen + "}");
                string asked = "{\"out_trade_no\":\"" + no + "\"}";
                Reply order = till.WaitOrder(asked, 60000);
                switch (order.Code)
                {
                    case 0:
                        Console.WriteLine("PAID {0} fen, order {1}", fen, no);
                        return arguments.Length > 3 ? Refund(till, no, fen) : 0;
                    case -1:
                    case -4:
                        Console.WriteLine("NOT PAID, order {0}: {1}", no, order.Message);
                        return 1;
                    default:
                        Console.WriteLine("NOT KNOWN YET, order {0}: {1}; no goods, no second payment", no, order.Message);
                        return 3;
                }
            }
        }
        catch (CloudPayException error)
        {
            Console.Error.WriteLine("{0}: {1}", error.Code, error.Message);
            return 2;
        }
    }

    private static int Refund(CloudPayClient till, string no, int fen)
    {
        string asked = "{\"out_trade_no\":\"" + no + "\",\"total_fee\":" + fen + ",\"refund_fee\":" + fen + "}";
        // Not known: the same again is safe.
        for (int tries = 0; till.Refund(asked).Code != 0; tries++)
            if (tries == 3)
                return 3;
        for (int tries = 0; tries < 30; tries++, Thread.Sleep(1000))
        {
            Reply refund = till.QueryRefund("{\"out_trade_no\":\"" + no + "\"}");
            if (refund.Code == 0 && refund.Json.Contains("\"state\":\"success\""))
            {
                Console.WriteLine("REFUNDED {0} fen", fen);
                return 1;
            }
        }
        Console.WriteLine("the refund is still processed");
        return 3;
    }
}
