/* Looks for a key in this process's own memory, while the library runs and after it has stopped:
 *
 *   memory CONF.json NUMBER CODE KEY(hex, every byte inverted)
 *
 * The register's own copy of the configuration is wiped first. Prints both counts. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloudpay.h"

static unsigned char needle[256], block[1 << 16];
static size_t length;

/* The needle is kept inverted, and `block` is left out: neither may find itself. */
static int found_at(const unsigned char *at)
{
    size_t i;
    for (i = 0; i < length; i++)
        if ((unsigned char)~at[i] != needle[i])
            return 0;
    return 1;
}

static int count_keys(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY), count = 0;
    char line[512];
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end, at;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[0] != 'r' || mode[1] != 'w')
            continue;
        for (at = start; at < end; at += sizeof block - sizeof needle) {
            size_t wanted = end - at < sizeof block ? end - at : sizeof block, i;
            ssize_t got = pread(memory, block, wanted, (off_t)at);
            for (i = 0; got > 0 && i + length <= (size_t)got; i++) {
                unsigned long here = at + i, own = (unsigned long)block;
                int ours = here + length > own && here < own + sizeof block;
                /* A match in the part that the next block repeats is counted there. */
                if (!ours && i < sizeof block - sizeof needle && found_at(block + i))
                    count++;
            }
        }
    }
    fclose(maps);
    close(memory);
    return count;
}

int main(int count, char **arguments)
{
    static char conf[65536], request[512], order[16384];
    int file, running, code;
    if (count != 5 || (file = open(arguments[1], O_RDONLY)) < 0)
        return 2;
    for (length = 0; sscanf(arguments[4] + 2 * length, "%2hhx", &needle[length]) == 1; length++)
        ;
    if (read(file, conf, sizeof conf - 1) <= 0 || cloud_pay_init(conf) != 0)
        return 2;
    explicit_bzero(conf, sizeof conf);
    snprintf(request, sizeof request,
             "{\"out_trade_no\":\"%s\",\"author_code\":\"%s\",\"total_fee\":1}", arguments[2],
             arguments[3]);
    if (cloud_pay_micro_pay(request, NULL, 0) != 0)
        return 2;
    snprintf(request, sizeof request, "{\"out_trade_no\":\"%s\"}", arguments[2]);
    code = cloud_pay_wait_order(request, order, sizeof order, 50000);
    running = count_keys();
    cloud_pay_fini();
    printf("%d running %d stopped %d\n", code, running, count_keys());
    return 0;
}
