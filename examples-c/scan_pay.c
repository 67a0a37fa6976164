/* 扫码支付: the register shows a QR code and the customer scans it.
 *
 *   scan_pay CONF.json [--fee FEN] [--alipay] [--wait SECONDS]
 *
 *   --wait SECONDS  how long the customer has, 120 when left out; then the order is closed
 *
 * Exit statuses are in till.h; 0 is paid. */
#include "till.h"

#include <qrencode.h>

enum { CODE_PATIENCE_MS = 30000, CLOSE_TRIES = 3, QUIET_ZONE = 4 };

/* Whether a module is dark. Outside the code is the light margin that scanners need. */
static int is_dark(const QRcode *code, int x, int y)
{
    int inside = x >= 0 && y >= 0 && x < code->width && y < code->width;
    return inside && (code->data[y * code->width + x] & 1);
}

/* Two rows of modules in each line of text: the upper and the lower half of a character. */
static int print_qr_code(const char *text)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    int x, y;
    if (!code)
        return 0;
    for (y = -QUIET_ZONE; y < code->width + QUIET_ZONE; y += 2) {
        printf("\033[97;40m"); /* white on black, whatever the terminal's colours are */
        for (x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++) {
            int upper = is_dark(code, x, y), lower = is_dark(code, x, y + 1);
            printf("%s", upper ? (lower ? " " : "▄") : (lower ? "▀" : "█"));
        }
        printf("\033[0m\n");
    }
    QRcode_free(code);
    return 1;
}

/* Closes an order that nobody paid. The customer may pay in this very moment: what counts is what
 * the gateway says afterwards. */
static int close_unpaid(const char *request, char order[ORDER_SIZE])
{
    int try, code = -2;
    printf("Closing the order …\n");
    for (try = 0; try < CLOSE_TRIES && code == -2; try++)
        code = cloud_pay_close_order(request);
    say_taken_back(code);
    return say_order(cloud_pay_query_order(request, order, ORDER_SIZE), order);
}

static int sell(long fee, int platform, long seconds)
{
    char number[NUMBER_SIZE], request[REQUEST_SIZE], order[ORDER_SIZE], url[1024];
    int code;
    if (cloud_pay_next_trade_no(number, sizeof number) != 0) {
        printf("No order number.\n");
        say_reason();
        return EXIT_USAGE;
    }
    snprintf(request, sizeof request,
             "{\"out_trade_no\":\"%s\",\"pay_platform\":%d,\"total_fee\":%ld,\"body\":\"groceries\"}",
             number, platform, fee);
    code = cloud_pay_scan_code_pay(request);
    if (code != 0) {
        printf("NOT ACCEPTED (%d): nothing was sent.\n", code);
        say_reason();
        return EXIT_NOT_PAID;
    }
    printf("Order %s: %ld fen by %s, accepted.\n", number, fee, platform_name(platform));
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\",\"until\":\"code_ready\"}", number);
    code = cloud_pay_wait_order(request, order, sizeof order, CODE_PATIENCE_MS);
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", number);
    if (code == -2) { /* no answer: nobody can have seen the code, so there is nothing to wait for */
        printf("No QR code came.\n");
        return close_unpaid(request, order);
    }
    if (code != -5)
        return say_order(code, order);
    if (!json_string(order, "code_url", url, sizeof url) || !print_qr_code(url)) {
        printf("The QR code can't be shown.\n");
        return close_unpaid(request, order);
    }
    printf("%s\nScan it with %s and pay; %ld s are left.\n", url, platform_name(platform), seconds);
    fflush(stdout);
    code = cloud_pay_wait_order(request, order, sizeof order, (int)(seconds * 1000));
    if (code != -5 && code != -2)
        return say_order(code, order);
    printf("The time is over.\n");
    return close_unpaid(request, order);
}

int main(int argc, char **argv)
{
    const char *conf = NULL;
    long fee = 100, seconds = 120;
    int platform = 1, status, i;
    use_utf8();
    for (i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--fee") == 0 && read_fen(value)) {
            fee = read_fen(argv[++i]);
        } else if (strcmp(name, "--wait") == 0 && is_digits(value, 1, 5)) {
            seconds = strtol(argv[++i], NULL, 10);
        } else if (strcmp(name, "--alipay") == 0) {
            platform = 2;
        } else if (*name != '-' && !conf) {
            conf = name;
        } else {
            printf("%s %s is not understood.\n", name, value);
            conf = NULL;
            break;
        }
    }
    if (!conf) {
        printf("scan_pay CONF.json [--fee FEN] [--alipay] [--wait SECONDS]\n");
        return EXIT_USAGE;
    }
    if (!start_library(conf))
        return EXIT_USAGE;
    status = sell(fee, platform, seconds);
    cloud_pay_fini();
    return status;
}
