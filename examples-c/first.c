#include <stdio.h>
#include "cloudpay.h"

int main(int argc, char **argv) /* first "CONFIGURATION AS JSON" PAYMENT_CODE */
{
    char no[33], req[256], order[4096];
    int code;
    if (argc != 3 || cloud_pay_init(argv[1]) != 0 || cloud_pay_next_trade_no(no, sizeof no) != 0)
        return printf("%s\n", cloud_pay_get_errmsg()), 2;
    snprintf(req, sizeof req, "{\"out_trade_no\":\"%s\",\"author_code\":\"%.128s\",\"total_fee\":100}",
             no, argv[2]);
    code = cloud_pay_micro_pay(req, NULL, 0); /* returns at once; 0: the order is on disk */
    if (code == 0) {
        snprintf(req, sizeof req, "{\"out_trade_no\":\"%s\"}", no);
        code = cloud_pay_wait_order(req, order, sizeof order, 60000);
        printf("%s\n", order);
    }
    printf("%s: %d %s\n", no, code, cloud_pay_get_errmsg()); /* 0 paid, -1 not paid, -2 ask again */
    cloud_pay_fini();
    return code != 0;
}
