// cloudpay for C++11 and newer: cloudpay.h with std::string and a destructor. MIT OR Apache-2.0.
//
// CONVENTIONS
//
// Flavours  Two classes with the same methods, and the choice between them is made once:
//             cloudpay::Client       throws cloudpay::Error for what is an error
//             cloudpay::CodesClient  throws nothing of its own: look at Reply::code. It is all
//                                    there is under -fno-exceptions
// Errors    -3, -8, and -1 where it means "refused" or "not accepted". The verdict about a
//           payment is never an error: query_order() and wait_order() return their -1 like every
//           other verdict. -2, -4, -5, -6 and -7 are returned by whatever call gives them.
// Calls     A method does what the function of its name does. cloudpay.h has the keys, the limits,
//           the codes and how long each may block.
// Text      In the configuration's character set, in and out. A text ends at its first NUL.
// Buffers   Grow until the answer fits, by asking again. What moves money is never called again
//           for that: micro_pay() has a buffer of the right size from the beginning.
// Threads   Any thread may call any method, but init(), fini(), moving and destroying want a
//           Client that nobody else is using.

#ifndef CLOUDPAY_HPP
#define CLOUDPAY_HPP

#include <atomic>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "cloudpay.h"

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define CLOUDPAY_EXCEPTIONS 1
#else
#define CLOUDPAY_EXCEPTIONS 0
#endif

namespace cloudpay {

// What a call gave back.
struct Reply {
    int code;            // 0 to -8, as in cloudpay.h
    std::string json;    // the output; "" of a call that has none. next_trade_no(): the number
    std::string message; // the reason for the code; "" when there is nothing to say
};

// Called with news about orders, on a thread of the library: see set_callback().
typedef std::function<void(const std::string &out_trade_no, int code, const std::string &order)>
    Callback;

#if CLOUDPAY_EXCEPTIONS
// Thrown by Client. what() is the message, in the configuration's character set.
class Error : public std::runtime_error {
public:
    explicit Error(const Reply &reply) : std::runtime_error(reply.message), code_(reply.code) {}

    int code() const noexcept { return code_; }

private:
    int code_;
};
#endif

namespace detail {

struct Codes {
    enum { throws = 0 };
    static void fail(const Reply &) {}
};

#if CLOUDPAY_EXCEPTIONS
struct Exceptions {
    enum { throws = 1 };
    static void fail(const Reply &reply) { throw Error(reply); }
};
#endif

// A callback that was set. It lives until the library has stopped: then nobody calls it any more.
struct Listener {
    Callback callback;
    Listener *next;
};

extern "C" inline void CLOUDPAY_CDECL cloudpay_tell_listener(const char *out_trade_no, int code,
                                                             const char *order, void *listener)
{
    const Callback &callback = static_cast<Listener *>(listener)->callback;
#if CLOUDPAY_EXCEPTIONS
    // C can't be unwound through.
    try {
        callback(out_trade_no, code, order);
    } catch (...) {
    }
#else
    callback(out_trade_no, code, order);
#endif
}

// The process has one library, so it has one Client that runs it.
inline std::atomic<bool> &taken()
{
    static std::atomic<bool> flag(false);
    return flag;
}

// Starts the library, and stops it in the destructor. Can be moved, not copied.
template <class Flavour> class BasicClient {
public:
    // Starts nothing: init() does.
    BasicClient() : running_(false), listeners_(nullptr) {}

    // Starts the library.
    explicit BasicClient(const std::string &conf) : BasicClient()
    {
        static_assert(Flavour::throws, "a constructor has no code to look at: call init()");
        init(conf);
    }

    // Clears the callback and stops the library; news that nobody was told stays in
    // pending_orders(). Blocks as set_callback() and fini() do. Not from the callback: then the
    // library goes on.
    ~BasicClient() { stop(); }

    BasicClient(BasicClient &&other) noexcept : running_(false), listeners_(nullptr)
    {
        take(other);
    }

    BasicClient &operator=(BasicClient &&other) noexcept
    {
        if (this != &other) {
            stop();
            take(other);
        }
        return *this;
    }

    BasicClient(const BasicClient &) = delete;
    BasicClient &operator=(const BasicClient &) = delete;

    // Starts the library. -1 also when another Client of this process runs it.
    Reply init(const std::string &conf)
    {
        if (!running_ && taken().exchange(true)) {
            Reply reply = {-1, "", "another cloudpay client of this process is running"};
            return result(std::move(reply));
        }
        int code = cloud_pay_init(conf.c_str());
        if (code == 0)
            running_ = true;
        else if (!running_)
            taken() = false;
        return result(reply(code));
    }

    // Stops the library; news that is on its way still goes to the callback. init() may follow.
    Reply fini()
    {
        if (!running_)
            return reply(0);
        int code = cloud_pay_fini();
        if (code == 0)
            stopped();
        else
            listeners_ = nullptr; // left behind: one of them may still be running
        return result(reply(code));
    }

    // Has news told to `callback`, or to nobody when it is empty; then no call is under way any
    // more when this returns. It may call every method but init(), fini() and the destructor, and
    // set another callback. What it throws is dropped, and the news counts as told. It and what it
    // holds live until the library stops, also when another one is set. Only on the Client that
    // runs the library.
    Reply set_callback(Callback callback)
    {
        if (!running_) {
            Reply reply = {-3, "", "this client does not run the library"};
            return result(std::move(reply));
        }
        if (!callback)
            return result(reply(cloud_pay_set_callback(nullptr, nullptr)));
        std::unique_ptr<Listener> listener(new Listener());
        listener->callback = std::move(callback);
        int code = cloud_pay_set_callback(cloudpay_tell_listener, listener.get());
        if (code == 0)
            keep(listener.release());
        return result(reply(code));
    }

    // Pays with the code on the customer's phone. 0: accepted, wait for the result.
    Reply micro_pay(const std::string &request) const
    {
        return result(filled(64, [&](char *out, int length) {
            return cloud_pay_micro_pay(request.c_str(), out, length);
        }));
    }

    // Orders a QR code for the customer to scan. 0: accepted, wait for the code.
    Reply scan_code_pay(const std::string &request) const
    {
        return result(reply(cloud_pay_scan_code_pay(request.c_str())));
    }

    // The state of an order, the whole of it however long.
    Reply query_order(const std::string &request) const
    {
        auto query = [&](char *out, int length) {
            return cloud_pay_query_order(request.c_str(), out, length);
        };
        return verdict(whole(filled(order_size, query), query));
    }

    // Waits for the result of an order, at most `timeout_ms`.
    Reply wait_order(const std::string &request, int timeout_ms) const
    {
        auto wait = [&](char *out, int length) {
            return cloud_pay_wait_order(request.c_str(), out, length, timeout_ms);
        };
        auto look = [&](char *out, int length) {
            return cloud_pay_wait_order(request.c_str(), out, length, 0);
        };
        return verdict(whole(filled(order_size, wait), look));
    }

    // Takes an order back. -2: query it, then cancel again.
    Reply cancel_order(const std::string &request) const
    {
        return result(reply(cloud_pay_cancel_order(request.c_str())));
    }

    // Closes an order that waits for a customer to scan its QR code.
    Reply close_order(const std::string &request) const
    {
        return result(reply(cloud_pay_close_order(request.c_str())));
    }

    // Asks for a refund. -2: the same call again is safe.
    Reply refund(const std::string &request) const
    {
        return result(reply(cloud_pay_refund(request.c_str())));
    }

    // The state of a refund.
    Reply query_refund(const std::string &request) const
    {
        return result(grown(order_size, [&](char *out, int length) {
            return cloud_pay_query_refund(request.c_str(), out, length);
        }));
    }

    // The merchant's shops, by page.
    Reply query_shop_info(const std::string &request) const
    {
        return result(grown(report_size, [&](char *out, int length) {
            return cloud_pay_query_shop_info(request.c_str(), out, length);
        }));
    }

    // The sub-merchant, with the prefix of its order numbers.
    Reply query_sub_mch_info(const std::string &request) const
    {
        return result(grown(report_size, [&](char *out, int length) {
            return cloud_pay_query_sub_mch_info(request.c_str(), out, length);
        }));
    }

    // Orders and refunds, by page; or all of a period into a file.
    Reply order_detail(const std::string &request) const
    {
        return result(grown(report_size, [&](char *out, int length) {
            return cloud_pay_order_detail(request.c_str(), out, length);
        }));
    }

    // Sums over orders and refunds.
    Reply order_stat(const std::string &request) const
    {
        return result(grown(report_size, [&](char *out, int length) {
            return cloud_pay_order_stat(request.c_str(), out, length);
        }));
    }

    // Orders to look at, all of them: what to show after a power cut, and now and then.
    Reply pending_orders() const
    {
        return result(whole(grown(report_size, cloud_pay_pending_orders), cloud_pay_pending_orders));
    }

    // A new order number.
    Reply next_trade_no() const { return result(filled(64, cloud_pay_next_trade_no)); }

    // Checks a notification of the gateway and gives its content.
    Reply verify_notify(const std::string &body) const
    {
        return result(grown(order_size, [&](char *out, int length) {
            return cloud_pay_verify_notify(body.c_str(), out, length);
        }));
    }

    // The signed answer to a notification. `status` 0: taken.
    Reply notify_reply(int status, const std::string &description) const
    {
        return result(grown(order_size, [&](char *out, int length) {
            return cloud_pay_notify_reply(status, description.c_str(), out, length);
        }));
    }

    // Which payment codes are whose.
    Reply security_author_code_prefix() const
    {
        return result(grown(order_size, cloud_pay_security_author_code_prefix));
    }

    // Not offered by the library: always -3.
    Reply security_login(const std::string &request) const
    {
        return result(filled(order_size, [&](char *out, int length) {
            return cloud_pay_security_login(request.c_str(), out, length);
        }));
    }

    // Not offered by the library: always -3.
    Reply security_login_check(const std::string &request) const
    {
        return result(filled(order_size, [&](char *out, int length) {
            return cloud_pay_security_login_check(request.c_str(), out, length);
        }));
    }

    // Not offered by the library: always -3.
    Reply security_init(const std::string &request) const
    {
        return result(reply(cloud_pay_security_init(request.c_str())));
    }

    // Not offered by the library: always -3.
    Reply security_identification(const std::string &request) const
    {
        return result(filled(order_size, [&](char *out, int length) {
            return cloud_pay_security_identification(request.c_str(), out, length);
        }));
    }

    // Not offered by the library: always -3.
    Reply security_identification_check(const std::string &request) const
    {
        return result(filled(order_size, [&](char *out, int length) {
            return cloud_pay_security_identification_check(request.c_str(), out, length);
        }));
    }

    // The reason for this thread's last call; every Reply has its own.
    static std::string get_errmsg() { return cloud_pay_get_errmsg(); }

    // The same as a Reply. It has no message of its own.
    static Reply copy_errmsg()
    {
        Reply copy = grown(order_size, cloud_pay_copy_errmsg);
        copy.message.clear();
        return copy;
    }

    // The library's version.
    static std::string version() { return cloud_pay_version(); }

private:
    // Bytes. An order is seldom longer than the first, a page of a report than the second.
    enum { order_size = 16 << 10, report_size = 64 << 10, largest_size = 64 << 20 };

    // The reply to a call that this thread has just made.
    static Reply reply(int code, const char *json = "")
    {
        Reply reply = {code, json, cloud_pay_get_errmsg()};
        return reply;
    }

    template <class Call> static Reply filled(int size, const Call &call)
    {
        std::string out(static_cast<std::size_t>(size), '\0');
        int code = call(&out[0], size);
        return reply(code, out.c_str());
    }

    // For calls that may be made again.
    template <class Call> static Reply grown(int size, const Call &call)
    {
        Reply reply = filled(size, call);
        while (reply.code == -8 && size < largest_size)
            reply = filled(size *= 4, call);
        return reply;
    }

    // An order that was too long for the first buffer came without its longest parts. The verdict
    // stands: what comes with another one, or not at all, is not worth losing it.
    template <class Call> static Reply whole(Reply reply, const Call &look)
    {
        for (int size = order_size; size < largest_size;) {
            if (reply.json.find("\"shortened\":true") == std::string::npos)
                break;
            Reply longer = filled(size *= 4, look);
            if (longer.code != reply.code)
                break;
            reply = std::move(longer);
        }
        return reply;
    }

    // The reply of a call that says how a payment stands.
    static Reply verdict(Reply reply)
    {
        if (reply.code == -3 || reply.code == -8)
            Flavour::fail(reply);
        return reply;
    }

    // The reply of every other call: -1 is an error too.
    static Reply result(Reply reply)
    {
        if (reply.code == -1)
            Flavour::fail(reply);
        return verdict(std::move(reply));
    }

    void keep(Listener *listener) noexcept
    {
        listener->next = listeners_;
        while (!listeners_.compare_exchange_weak(listener->next, listener)) {
        }
    }

    void take(BasicClient &other) noexcept
    {
        running_ = other.running_;
        listeners_ = other.listeners_.exchange(nullptr);
        other.running_ = false;
    }

    void stop() noexcept
    {
        if (!running_)
            return;
        cloud_pay_set_callback(nullptr, nullptr);
        if (cloud_pay_fini() != 0)
            listeners_ = nullptr; // left behind: one of them is still running
        stopped();
    }

    // The library calls nobody any more.
    void stopped() noexcept
    {
        for (Listener *listener = listeners_.exchange(nullptr); listener;) {
            std::unique_ptr<Listener> last(listener);
            listener = listener->next;
        }
        running_ = false;
        taken() = false;
    }

    bool running_;
    std::atomic<Listener *> listeners_;
};

} // namespace detail

// Returns every code.
typedef detail::BasicClient<detail::Codes> CodesClient;

#if CLOUDPAY_EXCEPTIONS
// Throws what is an error.
typedef detail::BasicClient<detail::Exceptions> Client;
#endif

} // namespace cloudpay

#endif // CLOUDPAY_HPP
