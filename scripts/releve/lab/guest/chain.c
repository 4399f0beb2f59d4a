/* chain FILE PORT CARD: the work of a lab's guest.
 *
 * Every 100 ms a record is appended to FILE and synced; each record carries the sum of the one
 * before it, so that a lost, changed or reordered write shows. On TCP PORT it answers one line:
 *   status   {"newest":N,"sum":S,"chain":"whole"|"broken at N","records":N,"boots":B,"unclean":U,
 *             "uptime_ms":T,"ms":M,"mac":A}
 *   record N {"record":N,"sum":S,"kind":K,"ms":M} or {"record":N,"missing":true}
 *   deaf     the power button has no effect from now on (a fault that a drill wants to see)
 * "newest" was synced before it is said. "unclean" counts the boots that no stop record precedes.
 * CARD is the network card whose address is told as "mac".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum kind { BOOT = 1, WORK = 2, STOP = 3 };
enum { PERIOD_MS = 100, PATIENCE_MS = 2000 };

struct record {
    uint64_t n, ms, kind, prev, sum;
};

struct verdict {
    struct record last;
    uint64_t records, boots, unclean, broken_at; /* broken_at 0: whole */
};

static volatile sig_atomic_t stopping;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static uint64_t clock_ms(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* FNV-1a over all fields before the sum. */
static uint64_t sum_of(const struct record *record)
{
    const unsigned char *bytes = (const unsigned char *)record;
    uint64_t hash = 14695981039346656037ULL;
    for (size_t i = 0; i < offsetof(struct record, sum); i++)
        hash = (hash ^ bytes[i]) * 1099511628211ULL;
    return hash;
}

static void judge_one(struct verdict *verdict, const struct record *record)
{
    verdict->records++;
    if (!verdict->broken_at && (record->n != verdict->records ||
                                record->prev != verdict->last.sum ||
                                record->sum != sum_of(record)))
        verdict->broken_at = verdict->records;
    if (record->kind == BOOT) {
        verdict->boots++;
        if (verdict->records > 1 && verdict->last.kind != STOP)
            verdict->unclean++;
    }
    verdict->last = *record;
}

/* Many records a call: each costs as much as all the arithmetic where the machine is emulated. */
static struct verdict judge(int file)
{
    static struct record many[1024];
    struct verdict verdict = {0};
    for (off_t at = 0;;) {
        ssize_t got = pread(file, many, sizeof many, at);
        size_t whole = got < 0 ? 0 : (size_t)got / sizeof *many;
        if (!whole)
            return verdict;
        for (size_t i = 0; i < whole; i++)
            judge_one(&verdict, &many[i]);
        at += (off_t)(whole * sizeof *many);
    }
}

/* Append one record and sync it; no record counts before that. */
static void append(int file, struct record *last, uint64_t kind)
{
    struct record record = {last->n + 1, clock_ms(CLOCK_REALTIME), kind, last->sum, 0};
    record.sum = sum_of(&record);
    off_t at = (off_t)(last->n * sizeof record);
    if (pwrite(file, &record, sizeof record, at) != (ssize_t)sizeof record || fsync(file) != 0) {
        perror("chain: cannot write");
        exit(1);
    }
    *last = record;
}

static void say_card(FILE *out, const char *card)
{
    char path[64], address[32] = "";
    snprintf(path, sizeof path, "/sys/class/net/%s/address", card);
    FILE *file = fopen(path, "r");
    if (file) {
        if (!fgets(address, sizeof address, file))
            address[0] = '\0';
        fclose(file);
    }
    address[strcspn(address, "\n")] = '\0';
    fprintf(out, ",\"mac\":\"%s\"}\n", address);
}

static void say_status(FILE *out, int file, const struct record *newest, const char *card)
{
    struct verdict verdict = judge(file);
    fprintf(out, "{\"newest\":%" PRIu64 ",\"sum\":\"%016" PRIx64 "\",\"chain\":\"", newest->n,
            newest->sum);
    if (verdict.broken_at)
        fprintf(out, "broken at %" PRIu64, verdict.broken_at);
    else
        fputs("whole", out);
    fprintf(out,
            "\",\"records\":%" PRIu64 ",\"boots\":%" PRIu64 ",\"unclean\":%" PRIu64
            ",\"uptime_ms\":%" PRIu64 ",\"ms\":%" PRIu64,
            verdict.records, verdict.boots, verdict.unclean, clock_ms(CLOCK_BOOTTIME), newest->ms);
    say_card(out, card);
}

static void say_record(FILE *out, int file, uint64_t wanted)
{
    struct record record;
    off_t at = (off_t)((wanted - 1) * sizeof record);
    if (wanted && wanted < UINT32_MAX &&
        pread(file, &record, sizeof record, at) == (ssize_t)sizeof record)
        fprintf(out,
                "{\"record\":%" PRIu64 ",\"sum\":\"%016" PRIx64 "\",\"kind\":%" PRIu64
                ",\"ms\":%" PRIu64 "}\n",
                record.n, record.sum, record.kind, record.ms);
    else
        fprintf(out, "{\"record\":%" PRIu64 ",\"missing\":true}\n", wanted);
}

/* In a child: a slow client never delays a record. */
static void serve(int client, int file, const struct record *newest, const char *card)
{
    char line[64];
    size_t filled = 0;
    struct pollfd wait = {client, POLLIN, 0};
    while (filled < sizeof line - 1 && poll(&wait, 1, PATIENCE_MS) > 0) {
        ssize_t got = read(client, line + filled, sizeof line - 1 - filled);
        if (got <= 0)
            break;
        filled += (size_t)got;
        if (memchr(line, '\n', filled))
            break;
    }
    line[filled] = '\0';
    uint64_t wanted;
    FILE *out = fdopen(client, "w");
    if (!out)
        return;
    if (strcmp(line, "status\n") == 0)
        say_status(out, file, newest, card);
    else if (sscanf(line, "record %" SCNu64, &wanted) == 1)
        say_record(out, file, wanted);
    else if (strcmp(line, "deaf\n") == 0)
        fprintf(out, "{\"deaf\":%s}\n",
                close(open("/run/deaf", O_CREAT | O_WRONLY, 0600)) == 0 ? "true" : "false");
    else
        fputs("{\"error\":\"say status, record N or deaf\"}\n", out);
    fclose(out);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 16) != 0) {
        perror("chain: cannot listen");
        exit(1);
    }
    return server;
}

int main(int count, char **words)
{
    if (count != 4) {
        fputs("usage: chain FILE PORT CARD\n", stderr);
        return 2;
    }
    int file = open(words[1], O_RDWR | O_CREAT, 0600);
    if (file < 0) {
        perror("chain: cannot open");
        return 1;
    }
    signal(SIGTERM, on_stop);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    struct verdict found = judge(file);
    struct record last = found.last;
    last.n = found.records; /* of a broken chain the place still counts up */
    append(file, &last, BOOT);
    int server = listen_on((uint16_t)atoi(words[2]));
    uint64_t next = clock_ms(CLOCK_BOOTTIME) + PERIOD_MS;
    while (!stopping) {
        uint64_t now = clock_ms(CLOCK_BOOTTIME);
        if (now >= next) {
            append(file, &last, WORK);
            next = now + PERIOD_MS;
            continue;
        }
        struct pollfd wait = {server, POLLIN, 0};
        if (poll(&wait, 1, (int)(next - now)) <= 0)
            continue;
        int client = accept(server, NULL, NULL);
        if (client < 0)
            continue;
        if (fork() == 0) {
            serve(client, file, &last, words[3]);
            _exit(0);
        }
        close(client);
    }
    append(file, &last, STOP);
    return 0;
}
