/* A register to measure: pays through the library and prints one line of JSON.
 *
 *   client pay CONF THREADS PAYMENTS PREFIX     so many payments by so many cashiers
 *   client start CONF WAIT_MS PREFIX            init, a pause, the first payment
 *   client wait CONF ORDERS PREFIX              memory with so many customers who don't pay
 *   client approve CONF ORDERS PREFIX           says when each order became known as paid
 *   client query CONF NUMBER TIMES PREFIX       asks for an order that is at rest */
#include "../stats.h"

#include "cloudpay.h"

static const char *prefix;
static int per_thread;

struct cashier {
    pthread_t thread;
    int index;
    uint64_t *call, *whole;
};

static void die(const char *what, int code)
{
    fprintf(stderr, "client: %s: %d %s\n", what, code, cloud_pay_get_errmsg());
    exit(1);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(1 << 16);
    size_t length;
    if (!file) {
        perror(path);
        exit(1);
    }
    length = fread(text, 1, (1 << 16) - 1, file);
    text[length] = 0;
    fclose(file);
    return text;
}

static void init(const char *path)
{
    char *conf = read_file(path);
    int code = cloud_pay_init(conf);
    if (code != 0)
        die("init", code);
    free(conf);
}

/* Accepts a payment of the scenario; the order number goes to `number`. */
static void accept_payment(int cashier, int sale, const char *scenario, char number[40])
{
    char request[512], answer[256];
    int code;
    snprintf(number, 40, "%s%03dx%07d", prefix, cashier, sale);
    snprintf(request, sizeof request,
             "{\"out_trade_no\":\"%s\",\"author_code\":\"13%03d%010d%s\",\"total_fee\":100,"
             "\"body\":\"tea\"}",
             number, cashier, sale, scenario);
    code = cloud_pay_micro_pay(request, answer, sizeof answer);
    if (code != 0)
        die("micro_pay", code);
}

static void pause_ms(int ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&pause, NULL);
}

static void wait_until_paid(const char *number, int timeout_ms)
{
    char request[128], order[8192];
    int code;
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", number);
    code = cloud_pay_wait_order(request, order, sizeof order, timeout_ms);
    if (code != 0)
        die("wait_order", code);
}

static void *sell(void *argument)
{
    struct cashier *cashier = argument;
    char number[40];
    int i;
    for (i = 0; i < per_thread; i++) {
        uint64_t start = now_ns(CLOCK_MONOTONIC);
        accept_payment(cashier->index, i, "000", number);
        cashier->call[i] = now_ns(CLOCK_MONOTONIC) - start;
        wait_until_paid(number, 60000);
        cashier->whole[i] = now_ns(CLOCK_MONOTONIC) - start;
    }
    return NULL;
}

static void pay(int threads, int payments)
{
    size_t count = (size_t)payments / (size_t)threads * (size_t)threads;
    uint64_t *call = calloc(count, sizeof *call), *whole = calloc(count, sizeof *whole);
    struct cashier *cashiers = calloc((size_t)threads, sizeof *cashiers);
    uint64_t start, cpu;
    char number[40];
    int i;
    per_thread = payments / threads;
    /* The first payment brings up the connection. */
    accept_payment(999, 0, "000", number);
    wait_until_paid(number, 60000);
    start = now_ns(CLOCK_MONOTONIC);
    cpu = cpu_ns();
    for (i = 0; i < threads; i++) {
        cashiers[i].index = i;
        cashiers[i].call = call + (size_t)i * (size_t)per_thread;
        cashiers[i].whole = whole + (size_t)i * (size_t)per_thread;
        if (pthread_create(&cashiers[i].thread, NULL, sell, &cashiers[i]) != 0)
            die("pthread_create", i);
    }
    for (i = 0; i < threads; i++)
        pthread_join(cashiers[i].thread, NULL);
    cpu = cpu_ns() - cpu;
    start = now_ns(CLOCK_MONOTONIC) - start;
    printf("{\"payments\":%zu,\"seconds\":%.6f,\"cpu_us\":%.2f", count, (double)start / 1e9,
           (double)cpu / 1000 / (double)count);
    print_times("call_us", call, count);
    print_times("latency_us", whole, count);
    printf(",\"rss_kib\":%ld}\n", resident_kib());
    free(call);
    free(whole);
    free(cashiers);
}

static void start(const char *conf, int pause)
{
    uint64_t begin = now_ns(CLOCK_MONOTONIC), ready, first;
    char number[40];
    init(conf);
    ready = now_ns(CLOCK_MONOTONIC) - begin;
    pause_ms(pause);
    begin = now_ns(CLOCK_MONOTONIC);
    accept_payment(0, 0, "000", number);
    wait_until_paid(number, 60000);
    first = now_ns(CLOCK_MONOTONIC) - begin;
    printf("{\"init_us\":%.1f,\"first_us\":%.1f,\"rss_kib\":%ld}\n", (double)ready / 1000,
           (double)first / 1000, resident_kib());
}

static void wait_for_customers(int orders)
{
    long before = resident_kib();
    char number[40];
    int i;
    for (i = 0; i < orders; i++) {
        accept_payment(0, i, "002", number);
        /* Not more at once than the gateway takes. */
        if (i % 256 == 255)
            pause_ms(60);
    }
    /* Until every order was asked for once: then its request is no longer kept. */
    pause_ms(5000 + orders / 2);
    printf("{\"orders\":%d,\"idle_kib\":%ld,\"waiting_kib\":%ld}\n", orders, before,
           resident_kib());
}

static void on_news(const char *number, int code, const char *order, void *user)
{
    (void)order, (void)user;
    if (code == 0) {
        printf("known %s %llu\n", number, (unsigned long long)(now_ns(CLOCK_REALTIME) / 1000000));
        fflush(stdout);
    }
}

static void approve(int orders)
{
    char number[40];
    int i;
    if (cloud_pay_set_callback(on_news, NULL) != 0)
        die("set_callback", 0);
    for (i = 0; i < orders; i++) {
        accept_payment(0, i, "002", number);
        printf("accepted %s\n", number);
        fflush(stdout);
        /* Customers don't come all at once. */
        pause_ms(10);
    }
    /* Until the other side has heard of them all. */
    while (getchar() != EOF)
        ;
}

static void query(const char *number, int times)
{
    uint64_t *each = calloc((size_t)times, sizeof *each);
    uint64_t *call = calloc((size_t)times, sizeof *call);
    char request[128], order[8192], mine[40];
    int i;
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", number);
    for (i = 0; i < times; i++) {
        uint64_t start = now_ns(CLOCK_MONOTONIC);
        int code = cloud_pay_wait_order(request, order, sizeof order, 0);
        each[i] = now_ns(CLOCK_MONOTONIC) - start;
        if (code != 0)
            die("wait_order", code);
    }
    for (i = 0; i < times; i++) {
        uint64_t start = now_ns(CLOCK_MONOTONIC);
        accept_payment(0, i, "000", mine);
        call[i] = now_ns(CLOCK_MONOTONIC) - start;
        wait_until_paid(mine, 60000);
    }
    printf("{\"times\":%d", times);
    print_times("query_us", each, (size_t)times);
    print_times("call_us", call, (size_t)times);
    printf("}\n");
    free(each);
    free(call);
}

int main(int count, char **words)
{
    const char *mode = count > 1 ? words[1] : "";
    if (count >= 5) {
        prefix = words[count - 1];
        if (strcmp(mode, "start") == 0) {
            start(words[2], atoi(words[3]));
        } else {
            init(words[2]);
            if (strcmp(mode, "pay") == 0)
                pay(atoi(words[3]), atoi(words[4]));
            else if (strcmp(mode, "wait") == 0)
                wait_for_customers(atoi(words[3]));
            else if (strcmp(mode, "approve") == 0)
                approve(atoi(words[3]));
            else if (strcmp(mode, "query") == 0)
                query(words[3], atoi(words[4]));
        }
    } else {
        fprintf(stderr, "client pay|start|wait|approve|query CONF ...\n");
        return 2;
    }
    return cloud_pay_fini() == 0 ? 0 : 1;
}
