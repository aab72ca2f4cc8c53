/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/ctl.h"

static const Personality table[] = {
        { "tgtctl", tgtctl_main, "Control the SCSI target daemon" },
        { "tgtadm", tgtadm_main, "Control the SCSI target daemon with the commands of stgt" },
        { "tgt-admin", tgt_admin_main, "Configure the SCSI target daemon from a file" },
        { "tgt-setup-lun", tgt_setup_lun_main, "Make a target with one LUN" },
        { "tgtimg", tgtimg_main, "Make files for backing stores" },
        { NULL },
};

const Personality *personalities(void)
{
        return table;
}

const Personality *personality_find(const char *argv0)
{
        const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
        const char *name = slash ? slash + 1 : argv0;

        for (const Personality *p = table; name && p->name; p++)
                if (STREQ(p->name, name))
                        return p;
        return &table[0];
}
