/* The limit of what a server can be here: each datagram goes back as an answer, by recvmmsg and sendmmsg alone. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MESSAGES = 64, ROOM = 4096 };

int main(int argc, char **argv) {
  static char bytes[MESSAGES][ROOM];
  struct mmsghdr messages[MESSAGES];
  struct iovec vectors[MESSAGES];
  struct sockaddr_in names[MESSAGES], own = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  inet_pton(AF_INET, argv[1], &own.sin_addr);
  if (argc != 3 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0) return 1;
  for (;;) {
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < MESSAGES; i++) {
      vectors[i] = (struct iovec){bytes[i], ROOM};
      messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i],
                                            .msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, MESSAGES, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
      bytes[i][2] |= 0x84; /* an answer, from who knows */
      bytes[i][3] = 0x80;
      vectors[i].iov_len = messages[i].msg_len;
    }
    for (int sent = 0; sent < count;) {
      int more = sendmmsg(fd, messages + sent, count - sent, 0);
      sent += more > 0 ? more : 1;
    }
  }
}
