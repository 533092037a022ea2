#include <stdio.h>
#include <stdlib.h>
#include <nftables/libnftables.h>
