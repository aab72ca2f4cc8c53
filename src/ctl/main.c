/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/ctl.h"

int main(int argc, char **argv)
{
        return personality_find(argv[0])->main(argc, argv);
}
