// What a shop would use instead: a cloud-pay client in C++ on libcurl, OpenSSL and jsoncpp.
//
//   peer manual CONF THREADS PAYMENTS PREFIX   as the manual shows it: everything new for each call
//   peer good   CONF THREADS PAYMENTS PREFIX   one handle a thread, kept connections and sessions
//   peer bare   CONF PAYMENTS PREFIX           no client at all: ready-made requests, one connection
//   peer synced CONF PAYMENTS FILE PREFIX      the same, each after a page was written to the file
//                                              and synced
//   peer approve CONF ORDERS PREFIX            asks every 6 s, as the manual says
//   peer crypto CONF TIMES PREFIX              signs a refund, verifies a notification
//
// Prints one line of JSON, as the library's client does.
#include <curl/curl.h>
#include <fcntl.h>
#include <json/json.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../stats.h"

namespace {

struct Shop {
    Json::Value trade;
    std::string domain, ca_file, key;
};

Shop read_shop(const char *path)
{
    Json::Value conf;
    std::ifstream(path) >> conf;
    Shop shop;
    shop.trade = conf["trade_conf"];
    shop.domain = conf["common_conf"]["domains"][0].asString();
    shop.ca_file = conf["common_conf"]["ca_file"].asString();
    shop.key = shop.trade["authen_key"].asString();
    return shop;
}

std::string hex(const unsigned char *bytes, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    std::string text;
    text.reserve(2 * length);
    for (size_t i = 0; i < length; i++) {
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

std::string authen_code(const std::string &key, const std::string &content)
{
    unsigned char code[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char *>(content.data()), content.size(), code, &length);
    return hex(code, length);
}

std::string nonce()
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        throw std::runtime_error("RAND_bytes");
    return hex(bytes, sizeof bytes);
}

std::string write(const Json::Value &value)
{
    Json::StreamWriterBuilder builder;
    builder["indentation"] = "";
    return Json::writeString(builder, value);
}

Json::Value parse(const std::string &text)
{
    Json::Value value;
    std::string errors;
    Json::CharReaderBuilder builder;
    std::unique_ptr<Json::CharReader> reader(builder.newCharReader());
    if (!reader->parse(text.data(), text.data() + text.size(), &value, &errors))
        throw std::runtime_error("not JSON: " + errors);
    return value;
}

// What every request carries, by a register of this shop.
Json::Value content_of(const Shop &shop)
{
    Json::Value content;
    Json::Value &merchant = content["pay_mch_key"];
    merchant["pay_platform"] = 1;
    merchant["sub_pay_platform"] = 100;
    for (const char *name : {"out_mch_id", "out_sub_mch_id", "out_shop_id"})
        merchant[name] = shop.trade[name];
    Json::Value &client = content["order_client"];
    client["device_id"] = shop.trade["device_id"];
    client["staff_id"] = shop.trade["staff_id"];
    client["terminal_type"] = 4;
    client["machine_no"] = "001122334455";
    client["sdk_version"] = "1.0";
    client["spbill_create_ip"] = "127.0.0.1";
    content["nonce_str"] = nonce();
    return content;
}

std::string envelope(const Shop &shop, const Json::Value &content)
{
    Json::Value request;
    request["request_content"] = write(content);
    Json::Value &authen = request["authen_info"]["a"];
    authen["authen_type"] = 1;
    authen["authen_code"] = authen_code(shop.key, request["request_content"].asString());
    return write(request);
}

std::string pay_request(const Shop &shop, const std::string &number, const std::string &code)
{
    Json::Value content = content_of(shop);
    Json::Value &pay = content["pay_content"];
    pay["out_trade_no"] = number;
    pay["author_code"] = code;
    pay["total_fee"] = 100;
    pay["fee_type"] = "CNY";
    pay["body"] = "tea";
    return envelope(shop, content);
}

std::string query_request(const Shop &shop, const std::string &number)
{
    Json::Value content = content_of(shop);
    content["out_trade_no"] = number;
    return envelope(shop, content);
}

// An authentic answer about this order and this amount: whether it is paid.
bool is_paid(const Shop &shop, const std::string &body, const char *part, const std::string &number)
{
    Json::Value answer = parse(body);
    std::string text = answer["response_content"].asString();
    std::string right = authen_code(shop.key, text);
    std::string given = answer["authen_info"]["a"]["authen_code"].asString();
    if (given.size() != right.size() || CRYPTO_memcmp(given.data(), right.data(), right.size()) != 0)
        throw std::runtime_error("not authentic: " + body);
    Json::Value content = parse(text);
    if (content["status"].asInt() != 0)
        throw std::runtime_error(text);
    const Json::Value &order = content[part]["order_content"];
    if (order["out_trade_no"].asString() != number || order["total_fee"].asInt() != 100)
        throw std::runtime_error("another order: " + text);
    return order["wxpay_order_content_ext"]["current_trade_state"].asInt() == 2;
}

size_t take(char *data, size_t size, size_t count, void *body)
{
    static_cast<std::string *>(body)->append(data, size * count);
    return size * count;
}

// One thread's way to the gateway.
class Client {
public:
    Client(const Shop &shop, bool keep) : shop(shop), keep(keep) {}
    ~Client() { close(); }
    Client(const Client &) = delete;
    Client &operator=(const Client &) = delete;

    std::string post(const char *path, const std::string &request)
    {
        std::string body;
        if (!handle)
            open();
        curl_easy_setopt(handle, CURLOPT_URL, (shop.domain + path).c_str());
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.data());
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.size()));
        curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
        CURLcode code = curl_easy_perform(handle);
        long status = 0;
        curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
        if (!keep)
            close();
        if (code != CURLE_OK || status != 200)
            throw std::runtime_error(curl_easy_strerror(code));
        return body;
    }

private:
    void open()
    {
        handle = curl_easy_init();
        headers = curl_slist_append(nullptr, "Content-Type: application/json");
        headers = curl_slist_append(headers, "Expect:");
        curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(handle, CURLOPT_CAINFO, shop.ca_file.c_str());
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take);
        curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, 10000L);
        curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(handle, CURLOPT_TCP_NODELAY, 1L);
    }

    void close()
    {
        if (handle)
            curl_easy_cleanup(handle);
        curl_slist_free_all(headers);
        handle = nullptr;
        headers = nullptr;
    }

    const Shop &shop;
    bool keep;
    CURL *handle = nullptr;
    curl_slist *headers = nullptr;
};

std::string number_of(const std::string &prefix, int cashier, int sale)
{
    char text[64];
    snprintf(text, sizeof text, "%s%03dx%07d", prefix.c_str(), cashier, sale);
    return text;
}

std::string code_of(int cashier, int sale, const char *scenario)
{
    char text[64];
    snprintf(text, sizeof text, "13%03d%010d%s", cashier, sale, scenario);
    return text;
}

void buy(const Shop &shop, Client &client, const std::string &prefix, int cashier, int sale)
{
    std::string number = number_of(prefix, cashier, sale);
    std::string request = pay_request(shop, number, code_of(cashier, sale, "000"));
    if (!is_paid(shop, client.post("/cpay/micro_pay", request), "micro_pay", number))
        throw std::runtime_error("not paid");
}

void report(std::vector<uint64_t> &times, uint64_t wall, uint64_t cpu)
{
    double count = static_cast<double>(times.size());
    printf("{\"payments\":%zu,\"seconds\":%.6f,\"cpu_us\":%.2f", times.size(),
           static_cast<double>(wall) / 1e9, static_cast<double>(cpu) / 1000 / count);
    print_times("latency_us", times.data(), times.size());
    printf(",\"rss_kib\":%ld}\n", resident_kib());
}

void pay(const Shop &shop, bool keep, int threads, int payments, const std::string &prefix)
{
    size_t each = static_cast<size_t>(payments / threads);
    std::vector<uint64_t> times(each * static_cast<size_t>(threads));
    std::vector<std::thread> cashiers;
    uint64_t start = now_ns(CLOCK_MONOTONIC), cpu = cpu_ns();
    for (int cashier = 0; cashier < threads; cashier++)
        cashiers.emplace_back([&, cashier] {
            Client client(shop, keep);
            uint64_t *time = times.data() + static_cast<size_t>(cashier) * each;
            for (size_t sale = 0; sale < each; sale++) {
                uint64_t begin = now_ns(CLOCK_MONOTONIC);
                buy(shop, client, prefix, cashier, static_cast<int>(sale));
                time[sale] = now_ns(CLOCK_MONOTONIC) - begin;
            }
        });
    for (std::thread &cashier : cashiers)
        cashier.join();
    report(times, now_ns(CLOCK_MONOTONIC) - start, cpu_ns() - cpu);
}

// One TLS connection, ready-made requests: what the network and the gateway alone take.
void bare(const Shop &shop, int payments, const char *file, const std::string &prefix)
{
    int disk = file ? open(file, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    std::vector<char> page(4096, 1);
    std::string address = shop.domain.substr(shop.domain.find("//") + 2);
    std::string host = address.substr(0, address.find(':'));
    std::string port = address.substr(address.find(':') + 1);
    std::vector<std::string> requests;
    for (int sale = 0; sale < payments; sale++) {
        std::string body = pay_request(shop, number_of(prefix, 0, sale), code_of(0, sale, "000"));
        requests.push_back("POST /cpay/micro_pay HTTP/1.1\r\nHost: " + address +
                           "\r\nContent-Type: application/json\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0)
        throw std::runtime_error(host);
    int one = 1, link = socket(found->ai_family, SOCK_STREAM, 0);
    setsockopt(link, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(link, found->ai_addr, found->ai_addrlen) != 0)
        throw std::runtime_error("connect");
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_load_verify_locations(context, shop.ca_file.c_str(), nullptr);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, link);
    if (SSL_connect(tls) != 1)
        throw std::runtime_error("SSL_connect");
    std::vector<uint64_t> times;
    std::vector<char> buffer(65536);
    uint64_t start = now_ns(CLOCK_MONOTONIC), cpu = cpu_ns();
    for (const std::string &request : requests) {
        uint64_t begin = now_ns(CLOCK_MONOTONIC);
        std::string answer;
        size_t whole = 0;
        if (file && (::write(disk, page.data(), page.size()) < 0 || fdatasync(disk) != 0))
            throw std::runtime_error(file);
        SSL_write(tls, request.data(), static_cast<int>(request.size()));
        while (whole == 0 || answer.size() < whole) {
            int count = SSL_read(tls, buffer.data(), static_cast<int>(buffer.size()));
            if (count <= 0)
                throw std::runtime_error("SSL_read");
            answer.append(buffer.data(), static_cast<size_t>(count));
            size_t end = answer.find("\r\n\r\n"), length = answer.find("content-length: ");
            if (whole == 0 && end != std::string::npos && length != std::string::npos)
                whole = end + 4 + std::stoul(answer.substr(length + 16));
        }
        times.push_back(now_ns(CLOCK_MONOTONIC) - begin);
    }
    report(times, now_ns(CLOCK_MONOTONIC) - start, cpu_ns() - cpu);
    SSL_free(tls);
    SSL_CTX_free(context);
    close(link);
    close(disk);
    freeaddrinfo(found);
}

// The manual's rhythm: pay, then ask every 6 s.
void approve(const Shop &shop, int orders, const std::string &prefix)
{
    std::mutex print;
    std::vector<std::thread> waiting;
    for (int sale = 0; sale < orders; sale++) {
        waiting.emplace_back([&, sale] {
            Client client(shop, true);
            std::string number = number_of(prefix, 0, sale);
            std::string request = pay_request(shop, number, code_of(0, sale, "002"));
            bool paid = is_paid(shop, client.post("/cpay/micro_pay", request), "micro_pay", number);
            {
                std::lock_guard<std::mutex> only(print);
                printf("accepted %s\n", number.c_str());
                fflush(stdout);
            }
            while (!paid) {
                sleep(6);
                std::string body = client.post("/cpay/query_order", query_request(shop, number));
                paid = is_paid(shop, body, "query_order", number);
            }
            std::lock_guard<std::mutex> only(print);
            printf("known %s %llu\n", number.c_str(),
                   static_cast<unsigned long long>(now_ns(CLOCK_REALTIME) / 1000000));
            fflush(stdout);
        });
        // Customers don't come all at once.
        usleep(10000);
    }
    for (std::thread &thread : waiting)
        thread.join();
}

// What OpenSSL takes for a refund's signature, and OpenSSL with jsoncpp for a notification.
void crypto(const Shop &shop, int times)
{
    std::string pem = shop.trade["private_key"].asString(), content(600, 'x');
    BIO *file = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    EVP_PKEY *key = PEM_read_bio_PrivateKey(file, nullptr, nullptr, nullptr);
    if (!key)
        throw std::runtime_error("the private key");
    std::vector<uint64_t> signing, verifying;
    for (int i = 0; i < times; i++) {
        uint64_t begin = now_ns(CLOCK_MONOTONIC);
        unsigned char signature[512];
        size_t length = sizeof signature;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        EVP_PKEY_CTX *options = nullptr;
        if (EVP_DigestSignInit(context, &options, EVP_sha256(), nullptr, key) != 1 ||
            EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
            EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_MAX) != 1 ||
            EVP_DigestSign(context, signature, &length,
                           reinterpret_cast<const unsigned char *>(content.data()),
                           content.size()) != 1)
            throw std::runtime_error("EVP_DigestSign");
        EVP_MD_CTX_free(context);
        signing.push_back(now_ns(CLOCK_MONOTONIC) - begin);
    }
    Json::Value order;
    order["order_content"]["out_trade_no"] = "N1";
    order["order_content"]["body"] = content;
    std::string body = envelope(shop, order);
    for (int i = 0; i < 20 * times; i++) {
        uint64_t begin = now_ns(CLOCK_MONOTONIC);
        Json::Value request = parse(body);
        std::string text = request["request_content"].asString();
        if (authen_code(shop.key, text) != request["authen_info"]["a"]["authen_code"].asString())
            throw std::runtime_error("not authentic");
        verifying.push_back(now_ns(CLOCK_MONOTONIC) - begin);
    }
    printf("{\"times\":%d", times);
    print_times("pss_us", signing.data(), signing.size());
    print_times("verify_us", verifying.data(), verifying.size());
    printf("}\n");
    EVP_PKEY_free(key);
    BIO_free(file);
}

} // namespace

int main(int count, char **words)
{
    if (count < 5) {
        fprintf(stderr, "peer manual|good CONF THREADS PAYMENTS PREFIX, bare|approve|crypto CONF N PREFIX, "
                        "synced CONF N FILE PREFIX\n");
        return 2;
    }
    curl_global_init(CURL_GLOBAL_ALL);
    try {
        std::string mode = words[1];
        Shop shop = read_shop(words[2]);
        if (mode == "bare")
            bare(shop, atoi(words[3]), nullptr, words[4]);
        else if (mode == "synced")
            bare(shop, atoi(words[3]), words[4], words[5]);
        else if (mode == "crypto")
            crypto(shop, atoi(words[3]));
        else if (mode == "approve")
            approve(shop, atoi(words[3]), words[4]);
        else
            pay(shop, mode == "good", atoi(words[3]), atoi(words[4]), words[5]);
    } catch (const std::exception &error) {
        fprintf(stderr, "peer: %s\n", error.what());
        return 1;
    }
    curl_global_cleanup();
    return 0;
}
