// A payment in C++: pay_cpp CONF.json PAYMENT_CODE FEN. Exit statuses as in till.h: 0 is paid.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "cloudpay.hpp"

enum { paid = 0, not_paid = 1, nothing_done = 2, not_known = 3 };

// What a verdict means at the till, and what to do on it.
static int say(const cloudpay::Reply &order)
{
    std::cout << order.message << (order.message.empty() ? "" : "\n");
    switch (order.code) {
    case 0:
        std::cout << "PAID: hand over the goods.\n";
        return paid;
    case -1:
        std::cout << "NOT PAID: another means of payment, or a new code with a new number.\n";
        return not_paid;
    case -4:
        std::cout << "TAKEN BACK: sell again with a new number.\n";
        return not_paid;
    case -6:
        std::cout << "RE-ENTRY: another payment has this number. NEVER cancel it.\n";
        return not_known;
    default: // -2, and what there is no rule for
        std::cout << "NOT KNOWN (" << order.code << "): query again. No goods, no second payment.\n";
        return not_known;
    }
}

int main(int argc, char **argv)
{
    const std::string code = argc == 4 ? argv[2] : "", fen = argc == 4 ? argv[3] : "";
    // Digits only: safe to be pasted into a JSON text.
    if (code.empty() || fen.empty() || (code + fen).find_first_not_of("0123456789") != std::string::npos) {
        std::cout << "pay_cpp CONF.json PAYMENT_CODE FEN\n";
        return nothing_done;
    }
    std::ifstream file(argv[1]);
    const std::string conf((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::string number;
    try {
        cloudpay::Client till(conf);
        std::cout << "Unfinished: " << till.pending_orders().json << "\n";
        const std::string fresh = till.next_trade_no().json;
        till.micro_pay("{\"out_trade_no\":\"" + fresh + "\",\"author_code\":\"" + code +
                       "\",\"total_fee\":" + fen + ",\"body\":\"groceries\"}");
        number = fresh; // accepted and on disk: from here on there is an order to ask about
        std::cout << "Order " << number << ": accepted, waiting for the customer ..." << std::endl;
        const cloudpay::Reply order = till.wait_order("{\"out_trade_no\":\"" + number + "\"}", 60000);
        std::cout << order.json << "\n";
        return say(order);
    } catch (const cloudpay::Error &error) {
        std::cout << "ERROR (" << error.code() << "): " << error.what() << "\n"
                  << (number.empty() ? "Nothing was sent.\n" : "Query order " + number + ".\n");
        return number.empty() ? nothing_done : not_known;
    }
}
