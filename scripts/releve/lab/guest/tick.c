/* tick LOAD DISK DISK...: writes that show whether copies of several disks are of one instant.
 *
 * Every 100 ms the next number goes to each DISK (a device and an offset in KiB: /dev/vda:768), one
 * after the other, past every cache: at any instant the numbers fall by one at most along the line.
 * The file LOAD says how many MB per second are written besides, onto the second disk.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8, BLOCK = 4096, PIECE = 1 << 20, TURN_MS = 100, FIRST_MIB = 8, AREA_MIB = 32 };

struct place {
    int file;
    off_t at;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct place open_place(char *word)
{
    char *colon = strrchr(word, ':');
    if (!colon)
        exit(2);
    *colon = '\0';
    struct place place = {open(word, O_RDWR | O_DIRECT | O_DSYNC), atoll(colon + 1) * 1024};
    if (place.file < 0) {
        perror(word);
        exit(1);
    }
    return place;
}

static double wanted(const char *name)
{
    double rate = 0;
    FILE *file = fopen(name, "r");
    if (file) {
        if (fscanf(file, "%lf", &rate) != 1)
            rate = 0;
        fclose(file);
    }
    return rate;
}

static void put(struct place place, const void *data, size_t size, off_t at)
{
    if (pwrite(place.file, data, size, at) != (ssize_t)size) {
        perror("tick: cannot write");
        exit(1);
    }
}

int main(int count, char **words)
{
    struct place places[MOST];
    int disks = 0;
    if (count < 4 || count - 2 > MOST)
        return 2;
    for (int i = 2; i < count; i++)
        places[disks++] = open_place(words[i]);
    uint64_t *block, *piece, number = 0, pieces = 0, next = now_ms();
    if (posix_memalign((void **)&block, BLOCK, BLOCK) != 0 ||
        posix_memalign((void **)&piece, BLOCK, PIECE) != 0)
        return 1;
    memset(block, 0, BLOCK);
    memset(piece, 0x5a, PIECE);
    if (pread(places[0].file, block, BLOCK, places[0].at) == BLOCK)
        number = block[0];
    double owed = 0;
    for (;;) {
        block[0] = ++number;
        for (int i = 0; i < disks; i++)
            put(places[i], block, BLOCK, places[i].at);
        for (owed += wanted(words[1]) * TURN_MS / 1000; owed >= 1; owed--) {
            for (size_t i = 0; i < PIECE / sizeof *piece; i += BLOCK / sizeof *piece)
                piece[i] = pieces << 20 | i;
            put(places[1], piece, PIECE, (off_t)(FIRST_MIB + pieces++ % AREA_MIB) * PIECE);
        }
        uint64_t now = now_ms();
        next = next + TURN_MS > now ? next + TURN_MS : now;
        usleep((useconds_t)(next - now) * 1000);
    }
}
