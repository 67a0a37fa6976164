// A register in C++ for tests: calls every method of cloudpay.hpp against a real gateway, in both
// flavours, and stops with the line where something is not as it should be.
//
//   cpp_register CONF.json CODE…     the codes: 000 five times, 004, 002 twice
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iostream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "cloudpay.hpp"

using cloudpay::Client;
using cloudpay::CodesClient;
using cloudpay::Error;
using cloudpay::Reply;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            std::cout << __LINE__ << ": " << #what << "\n" << last_words() << std::endl;           \
            std::_Exit(1);                                                                         \
        }                                                                                          \
    } while (0)

static std::string last_words() { return Client::get_errmsg(); }

static bool has(const std::string &text, const std::string &part)
{
    return text.find(part) != std::string::npos;
}

// The code of the Error that a call throws; 99 when it throws none.
template <class Call> static int thrown(const Call &call)
{
    try {
        call();
    } catch (const Error &error) {
        CHECK(*error.what() != 0);
        return error.code();
    }
    return 99;
}

static std::string about(const std::string &number) { return "{\"out_trade_no\":\"" + number + "\"}"; }

static std::string payment(const std::string &number, const std::string &code, const std::string &more = "")
{
    return "{\"out_trade_no\":\"" + number + "\",\"author_code\":\"" + code +
           "\",\"total_fee\":100,\"body\":\"tea\"" + more + "}";
}

static std::string qr(const std::string &number, const std::string &more = "")
{
    return "{\"out_trade_no\":\"" + number +
           "\",\"total_fee\":100,\"pay_platform\":1,\"body\":\"tea\",\"product_id\":\"p1\"" + more + "}";
}

enum { patience_ms = 50000 };

// Waits until the gateway knows a payment: before that, a cancel stops it in the queue.
static void arrived(const Client &till, const std::string &number)
{
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
    while (!has(till.query_order(about(number)).json, "\"source\":\"gateway\""))
        CHECK(std::chrono::steady_clock::now() < end);
}

// News from the library's thread.
struct News {
    std::promise<std::string> promise;
    std::atomic<bool> told;
    News() : told(false) {}
    void tell(const std::string &text)
    {
        if (!told.exchange(true))
            promise.set_value(text);
    }
    std::string get()
    {
        std::future<std::string> future = promise.get_future();
        CHECK(future.wait_for(std::chrono::milliseconds(patience_ms)) == std::future_status::ready);
        return future.get();
    }
};

static_assert(!std::is_copy_constructible<Client>::value, "a Client can't be copied");
static_assert(!std::is_copy_assignable<Client>::value, "a Client can't be copied");
static_assert(std::is_nothrow_move_constructible<Client>::value, "a Client can be moved");
static_assert(std::is_nothrow_move_assignable<Client>::value, "a Client can be moved");

// What is an error is thrown, and what is a verdict is not.
static void the_throwing_flavour(const std::string &conf, const std::vector<std::string> &codes)
{
    CHECK(thrown([] { Client refused("{}"); }) == -1);
    CHECK(thrown([] { Client().query_order("{}"); }) == -3);
    CHECK(thrown([] { Client().set_callback([](const std::string &, int, const std::string &) {}); }) == -3);
    CHECK(Client().fini().code == 0);

    // Client by Client: made, moved into another, moved again.
    Client first(conf);
    CHECK(thrown([&] { Client second(conf); }) == -1);
    Client moved(std::move(first));
    CHECK(thrown([&] { first.set_callback(nullptr); }) == -3);
    Client till;
    till = std::move(moved);
    {
        Client gone(std::move(moved)); // has nothing, and stops nothing
    }
    CHECK(till.init(conf).code == 0);
    CHECK(Client::version() == cloud_pay_version());

    const std::string number = till.next_trade_no().json;
    CHECK(!number.empty() && number.size() <= 32 && till.next_trade_no().json != number);
    CHECK(has(till.security_author_code_prefix().json, "wx_author_code_prefix"));
    CHECK(has(till.pending_orders().json, "\"total_count\":0"));

    // Not accepted is an error. A failed payment, an unknown one and no payment are none.
    CHECK(thrown([&] { till.micro_pay(payment(number, "1")); }) == -1);
    CHECK(thrown([&] { till.scan_code_pay("{}"); }) == -1);
    CHECK(thrown([&] { till.query_order("{"); }) == -3);
    CHECK(thrown([&] { till.wait_order(about(number), -1); }) == -3);
    const std::string failed = till.next_trade_no().json;
    CHECK(has(till.micro_pay(payment(failed, codes[5])).json, "\"pay_platform\":1"));
    CHECK(till.wait_order(about(failed), patience_ms).code == -1);
    Reply nobodys = till.query_order("{\"out_trade_no\":\"" + number + "9\",\"trade_type\":1,\"pay_platform\":1}");
    CHECK(nobodys.code == -7 && !nobodys.message.empty());
    const std::string open = till.next_trade_no().json;
    till.micro_pay(payment(open, codes[6]));
    CHECK(till.wait_order(about(open), 0).code == -2);
    arrived(till, open);
    CHECK(till.cancel_order(about(open)).code == 0);
    CHECK(till.query_order(about(open)).code == -4);

    // QR codes.
    const std::string scanned = till.next_trade_no().json;
    till.scan_code_pay(qr(scanned, ",\"attach\":\"sandbox:000\""));
    Reply paid = till.wait_order(about(scanned), patience_ms);
    CHECK(paid.code == 0 && has(paid.json, scanned));
    CHECK(thrown([&] { till.cancel_order(about(scanned)); }) == -1);
    const std::string waiting = till.next_trade_no().json;
    till.scan_code_pay(qr(waiting));
    Reply shown = till.wait_order("{\"out_trade_no\":\"" + waiting + "\",\"until\":\"code_ready\"}", patience_ms);
    CHECK(shown.code == -5 && has(shown.json, "\"code_url\""));
    CHECK(till.close_order(about(waiting)).code == 0);

    // Refunds.
    const std::string all = "{\"out_trade_no\":\"" + scanned + "\",\"total_fee\":100,\"refund_fee\":100}";
    CHECK(till.refund(all).code == 0);
    CHECK(thrown([&] { till.refund("{\"out_trade_no\":\"" + failed + "\",\"total_fee\":100,\"refund_fee\":100}"); }) == -1);
    Reply refund;
    do
        refund = till.query_refund(about(scanned));
    while (has(refund.json, "\"state\":\"processing\""));
    CHECK(refund.code == 0 && has(refund.json, "\"state\":\"success\""));
    CHECK(has(till.query_refund(about(open)).json, "\"total_count\":0"));
    CHECK(thrown([&] { till.query_refund("{\"out_refund_no\":\"" + open + "\"}"); }) == -1);

    // Reports and notifications.
    CHECK(has(till.query_shop_info("{}").json, "shop_infos"));
    CHECK(has(till.query_sub_mch_info("{}").json, "sub_mch_infos"));
    CHECK(has(till.order_stat("{}").json, "overviews"));
    CHECK(thrown([&] { till.order_detail("{\"page_num\":0}"); }) == -3);
    CHECK(thrown([&] { till.verify_notify("{}"); }) == -1);
    // 20000 times two bytes that are written as six.
    std::string words;
    while (words.size() < 40000)
        words += "\xc3\xa9";
    CHECK(till.notify_reply(1, words).json.size() > 120000);

    for (int call = 0; call < 5; call++)
        CHECK(thrown([&] {
                  call == 0   ? till.security_login("{}")
                  : call == 1 ? till.security_login_check("{}")
                  : call == 2 ? till.security_init("{}")
                  : call == 3 ? till.security_identification("{}")
                              : till.security_identification_check("{}");
              }) == -3);
    CHECK(!Client::get_errmsg().empty() && Client::copy_errmsg().json == Client::get_errmsg());

    CHECK(till.fini().code == 0 && till.fini().code == 0);
    CHECK(thrown([&] { till.pending_orders(); }) == -3);
    CHECK(till.init(conf).code == 0);
}

// The longest goods list makes an order longer than the first buffer, and five of them a page
// longer than the first buffer for those. Every order is paid once.
static void answers_of_any_length(const std::string &conf, const std::vector<std::string> &codes)
{
    Client till(conf);
    std::string detail;
    for (int i = 0; i < 5990; i++)
        detail += "\xe8\x8c\xb6"; // tea
    detail += "the end";
    for (int i = 0; i < 4; i++) {
        const std::string number = till.next_trade_no().json;
        till.micro_pay(payment(number, codes[static_cast<std::size_t>(i)], ",\"detail\":\"" + detail + "\""));
        const Reply waited = till.wait_order(about(number), patience_ms);
        CHECK(waited.code == 0 && waited.json.size() > 17000 && has(waited.json, "the end"));
        CHECK(!has(waited.json, "shortened"));
        const Reply queried = till.query_order(about(number));
        CHECK(queried.code == 0 && has(queried.json, "the end"));
    }
    const Reply page = till.order_detail("{\"page_size\":100,\"query_order_type\":1}");
    CHECK(page.code == 0 && page.json.size() > 68000 && has(page.json, "the end"));
}

// A callback throws, is replaced from within, and lives as long as it has to.
static void the_callback(const std::string &conf, const std::string &code, const std::string &open_code)
{
    const std::shared_ptr<News> thrower = std::make_shared<News>(), heard = std::make_shared<News>();
    const std::weak_ptr<News> still(thrower);
    {
        Client till(conf);
        Client *at = &till;
        till.set_callback([=](const std::string &number, int, const std::string &) {
            at->set_callback([=](const std::string &no, int verdict, const std::string &order) {
                if (has(order, "\"state\":\"paid\""))
                    heard->tell(no + " " + std::to_string(verdict));
            });
            thrower->tell(number); // what it holds is still there
            throw std::runtime_error("not across C");
        });
        const std::string cancelled = till.next_trade_no().json, number = till.next_trade_no().json;
        till.micro_pay(payment(cancelled, open_code));
        arrived(till, cancelled);
        CHECK(till.cancel_order(about(cancelled)).code == 0);
        CHECK(thrower->get() == cancelled);
        till.micro_pay(payment(number, code));
        CHECK(heard->get() == number + " 0");
        // It goes with the library, wherever the Client has moved.
        Client moved(std::move(till));
        moved.set_callback(nullptr);
        CHECK(still.use_count() > 1);
    }
    CHECK(still.use_count() == 1 && heard.use_count() == 1);
}

// The same calls, and every code comes back.
static void the_codes_flavour(const std::string &conf)
{
    CodesClient till;
    CHECK(till.query_order("{}").code == -3);
    CHECK(till.init("{}").code == -1);
    CHECK(till.set_callback(nullptr).code == -3);
    CHECK(till.init(conf).code == 0);
    CHECK(CodesClient().init(conf).code == -1);
    const Reply refused = till.micro_pay("{}");
    CHECK(refused.code == -1 && refused.json.empty() && !refused.message.empty());
    CHECK(till.query_order("{").code == -3);
    CHECK(till.verify_notify("{}").code == -1);
    CHECK(till.security_login("{}").code == -3);
    CHECK(till.next_trade_no().code == 0 && till.next_trade_no().message.empty());
    CHECK(till.fini().code == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 10);
    std::ifstream file(argv[1]);
    const std::string conf((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const std::vector<std::string> codes(argv + 2, argv + argc);
    try {
        the_throwing_flavour(conf, codes);
        answers_of_any_length(conf, codes);
        the_callback(conf, codes[4], codes[7]);
        the_codes_flavour(conf);
    } catch (const Error &error) {
        std::cout << "thrown: " << error.code() << " " << error.what() << "\n";
        return 1;
    }
    std::cout << "all is well\n";
    return 0;
}
