/* GUP-fast against page_mkclean, with a device that writes: the twin of the model in
 * spin.py, step by step. One page, one entry; the pin is counted, then the entry is
 * read again. Writeback write-protects, asks for pins, and clears the dirty flag only
 * if there is none; otherwise it writes a copy.
 *
 * Each outcome is printed: what GUP answered (granted at once, or by the slow way),
 * whether writeback saw the pin, the dirty flag at the end, what is on the disk.
 */

bit writable = 1, dirty = 1, locked = 0, under_writeback = 0;
byte pins = 0, word = 3, disk = 0, copy = 0;
bit saw = 0, slow = 0, gup_done = 0, fsync_done = 0;

active proctype gup()
{
	bit seen;
	atomic { seen = writable };                    /* pte_read */
	if
	:: seen ->
		atomic { pins++ };                     /* reference_taken */
		if
		:: atomic { writable -> skip }         /* pte_checked */
		:: atomic { !writable -> pins-- };     /* backed_off */
			goto slowly
		fi
	:: else ->
slowly:		slow = 1;
		atomic { !locked && !under_writeback -> locked = 1 };  /* mkwrite */
		atomic { dirty = 1; writable = 1 };    /* pte_set */
		atomic { pins++ };                     /* reference_taken */
		locked = 0                             /* page_unlocked */
	fi;
	word = 7;                                      /* the device writes */
	gup_done = 1
}

active proctype fsync()
{
	atomic { !locked -> locked = 1 };              /* page_locked */
	writable = 0;                                  /* mkclean.pte */
	saw = (pins > 0);                              /* pin_asked */
	if
	:: !saw -> dirty = 0                           /* dirty_cleared */
	:: else -> skip
	fi;
	under_writeback = 1;                           /* started */
	if
	:: saw -> copy = word                          /* bounce_captured */
	:: else -> skip
	fi;
	locked = 0;                                    /* page_unlocked */
	if
	:: saw -> disk = copy                          /* written */
	:: else -> disk = word
	fi;
	under_writeback = 0;                           /* ended */
	fsync_done = 1
}

active proctype end()
{
	atomic {
		gup_done && fsync_done;
		printf("outcome %d %d %d %d\n", slow, saw, dirty, disk)
	}
}
